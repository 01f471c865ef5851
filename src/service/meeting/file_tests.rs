use super::*;
use crate::domain::group::{GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy};

pub(crate) fn group(code: &str) -> Group {
    Group {
        code: code.parse().unwrap(),
        kind: GroupKind::Regional,
        parent: Some("SG12".parse().unwrap()),
        region: None,
        list: code.to_lowercase(),
        languages: vec![Language::ENGLISH, "es".parse().unwrap()],
        name: Localized::single(Language::ENGLISH, code.to_owned()),
        timezone: Tz::America__Mexico_City,
        subscription: SubscriptionPolicy::Open,
        guests: GuestPolicy::Approve,
        participation: ParticipationPolicy::Standard,
        nonmember: NonmemberPolicy::Reject,
        guest_liaison: GuestLiaison::Cover,
        missing_edition: MissingEdition::Hold,
        secretariat: Vec::new(),
        contact: None,
        supporting_members: Vec::new(),
        grace: std::time::Duration::ZERO,
        personal: true,
        footer: None,
        house: crate::domain::house::HouseRules::default(),
        monthly_reminder: false,
        archive: crate::domain::group::ArchiveAccess::Members,
        archive_keep: std::time::Duration::ZERO,
        aliases: Vec::new(),
        retired: false,
        parent_must_endorse: false,
        meetings: crate::domain::meeting::OwnLeadTimes::default(),
    }
}

const GOOD: &str = r#"[[meeting]]
id = "sg12rg-amr-2027"
groups = ["SG12RG-AMR"]
title = { en = "Meeting", es = "Reunión" }
start = 2027-04-06T09:30:00
end = 2027-04-07T17:30:00
timezone = "America/Mexico_City"
venue = { en = "Room A", es = "Sala A" }
city = "Mexico City"
country = "MX"
host = { en = "Example Institute" }
remote_url = "https://meet.example.org/amr"
registration_url = "https://www.example.org/register"
planned = true
audience = "members"
status = "announced"
[meeting.deadlines]
registration = 2027-03-06
contribution = 2027-03-25
[[meeting.part]]
title = { en = "Workshop on quality of service", es = "Taller sobre calidad de servicio" }
start = 2027-04-05T09:30:00
end = 2027-04-05T17:30:00
audience = "open"
"#;

fn parse(text: &str) -> Result<Reading, ConfigError> {
    let groups = GroupTable::new("lists.example.org", vec![group("SG12RG-AMR"), group("SG2RG-AMR")]);
    let now = "2026-12-01T10:00:00Z".parse().unwrap();
    read(text, &Known { file: Path::new("m.toml"), groups: &groups, domain: "lists.example.org", now })
}

#[test]
fn the_file_of_the_contract_is_read_whole() {
    let reading = parse(GOOD).unwrap();
    assert!(reading.warnings.is_empty());
    let meeting = &reading.meetings[0];
    assert_eq!(meeting.uid, "sg12rg-amr-2027@lists.example.org");
    assert_eq!((meeting.status, meeting.zone, meeting.parts.len()), (MeetingStatus::Announced, Tz::America__Mexico_City, 1));
    assert_eq!((meeting.parts[0].key.as_str(), meeting.parts[0].audience), ("1", MeetingAudience::Open));
    assert_eq!(meeting.deadlines[&DeadlineKind::Contribution].to_string(), "2027-03-25");
    assert_eq!(meeting.announced_at, Some("2026-12-01T10:00:00Z".parse().unwrap()));
    let days = GOOD.replace("T09:30:00", "").replace("T17:30:00", "").replace("remote_url = \"https://meet.example.org/amr\"\n", "");
    let reading = parse(&days).unwrap();
    assert!(reading.meetings[0].span.is_all_day());
    assert!(reading.warnings[0].contains("remote"));
}

#[test]
fn a_bad_file_is_refused_with_file_line_and_remedy() {
    let twice = format!("{GOOD}\n{GOOD}");
    let two = GOOD.matches('\n').count();
    for (text, line, part) in [
        (GOOD.replace("end = 2027-04-07T17", "end = 2027-04-05T17"), 6, "before it starts"),
        (GOOD.replace("America/Mexico_City", "America/Mexiko_City"), 7, "America/Mexico_City"),
        (GOOD.replace("\"SG12RG-AMR\"", "\"SG12RG-AMX\""), 3, "the nearest known group is SG12RG-AMR"),
        (twice, two + 3, "is used twice, first in line 2"),
        (GOOD.replace("2027-03-25", "2027-06-31"), 19, "a day that exists"),
        (GOOD.replace("2027-03-25", "2027-02-29"), 19, ""),
        (GOOD.replace("city =", "citi ="), 9, "the nearest known key is \"city\""),
        (GOOD.replace("status = \"announced\"", "status = \"anounced\""), 16, "announced"),
        (GOOD.replace("2027-03-25", "2027-05-25"), 19, "after the meeting"),
        (GOOD.replace("2027-03-25", "2027-03-25T12:00:00"), 19, "write the day alone, 2027-03-25"),
        (GOOD.replace("end = 2027-04-07T17:30:00", "end = 2027-04-07"), 6, "write both alike"),
        (GOOD.replace("start = 2027-04-06T09:30:00", "start = 2027-04-06T09:30:00Z"), 5, "timezone"),
        (GOOD.replace("https://meet.example.org/amr", "javascript:alert(1)"), 12, "https://"),
        (GOOD.replace("\"MX\"", "\"Mexico\""), 10, "ISO 3166"),
        (GOOD.replace("[\"SG12RG-AMR\"]", "[]"), 3, "at least one"),
        (GOOD.replace("end = 2027-04-07", "end = 2028-04-07"), 6, "92 days"),
        (GOOD.replace("sg12rg-amr-2027", "../x"), 2, "meeting id"),
        (GOOD.replace("{ en = \"Meeting\", es = \"Reunión\" }", "{}"), 4, "title"),
        (String::new(), 1, "no meeting"),
    ] {
        let misspelt = text.contains("anounced");
        let message = parse(&text).err().unwrap_or_else(|| panic!("taken: {part}\n{text}")).to_string();
        assert!(message.starts_with(&format!("m.toml, line {line}: ")) && message.contains(part), "{part}: {message}");
        assert!(!misspelt || !message.contains("a day that exists"), "{message}");
    }
}

#[test]
fn an_hour_that_does_not_exist_and_a_language_that_nobody_reads_are_doubtful() {
    let zurich = GOOD.replace("America/Mexico_City", "Europe/Zurich").replace("2027-04-06T09:30:00", "2027-03-28T02:30:00");
    let warnings = parse(&zurich).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("there is no 2027-03-28 02:30 in Europe/Zurich")), "{warnings:?}");
    let warnings = parse(&GOOD.replace("{ en = \"Meeting\",", "{ xx = \"a\", en = \"Meeting\",")).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("\"xx\"")), "{warnings:?}");
}
