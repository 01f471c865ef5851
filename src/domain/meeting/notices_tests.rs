use super::*;
use crate::domain::language::{Language, Localized};
use crate::domain::meeting::{MeetingAudience, Span};
use chrono::NaiveDateTime;

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// 6 and 7 April 2027 in Mexico City, a draft of 1 October 2026.
pub(crate) fn meeting() -> Meeting {
    Meeting {
        id: "sg12rg-amr-2027".parse().unwrap(),
        uid: "sg12rg-amr-2027@lists.example.org".into(),
        kind: MeetingKind::Meeting,
        groups: vec!["SG12RG-AMR".parse().unwrap()],
        withdrawn: Vec::new(),
        title: Localized::single(Language::ENGLISH, "SG12RG-AMR meeting".to_owned()),
        span: Span::Hours { start: wall("2027-04-06T09:30:00"), end: wall("2027-04-07T17:30:00") },
        zone: Tz::America__Mexico_City,
        venue: Localized::default(),
        city: "Mexico City".into(),
        country: "MX".into(),
        host: Localized::default(),
        remote_url: "https://meet.example.org/amr".into(),
        remote_notes: Localized::default(),
        registration_url: String::new(),
        agenda_url: String::new(),
        documents_url: String::new(),
        contact: "tsbsg12@itu.example".into(),
        languages: Vec::new(),
        audience: MeetingAudience::Members,
        planned: true,
        deadlines: BTreeMap::new(),
        parts: Vec::new(),
        letter: None,
        status: MeetingStatus::Draft,
        report: None,
        sequence: 0,
        created_at: at("2026-10-01T12:00:00Z"),
        changed_at: at("2026-10-01T12:00:00Z"),
        announced_at: None,
        moved: BTreeMap::new(),
        history: Vec::new(),
        gone: Vec::new(),
    }
}

fn wall(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

const ZURICH: Settings = Settings { zone: Tz::Europe__Zurich };

fn announced(text: &str) -> Meeting {
    let draft = meeting();
    draft.with_status(MeetingStatus::Announced, &LeadTimes::default(), at(text), "test").meeting
}

fn planned(meeting: &Meeting, sent: &Sent, now: &str) -> Vec<Notice> {
    plan(meeting, &LeadTimes::default(), ZURICH, sent, at(now))
}

fn state<'a>(notices: &'a [Notice], milestone: &str) -> &'a NoticeState {
    &notices.iter().find(|n| n.key.milestone == milestone).unwrap_or_else(|| panic!("no {milestone}")).state
}

fn due(notices: &[Notice]) -> Vec<String> {
    notices.iter().filter(|n| n.state == NoticeState::Due).map(|n| n.key.to_string()).collect()
}

/// Sends what is due, with what it says besides.
pub(crate) fn send(notices: &[Notice], sent: &mut Sent, now: DateTime<Utc>) -> Vec<NoticeKey> {
    let leads: Vec<_> = notices.iter().filter(|n| n.state == NoticeState::Due).map(|n| n.key.clone()).collect();
    for lead in &leads {
        sent.insert(lead.clone(), now);
        for other in merged_into(notices, lead) {
            sent.insert(other.key.clone(), now);
        }
    }
    leads
}

#[test]
fn a_meeting_announced_in_time_has_the_whole_plan_at_nine_in_the_zone_of_the_group() {
    let m = announced("2026-12-01T10:00:00Z");
    let notices = planned(&m, &Sent::new(), "2026-12-01T10:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:announcement:0"]);
    let text: Vec<_> = notices
        .iter()
        .filter(|n| !matches!(n.state, NoticeState::Skipped(_)))
        .map(|n| format!("{} {} {}", n.at.format("%m-%dT%H:%M"), n.key.milestone, n.state.as_str()))
        .collect();
    let expected = [
        "12-01T10:00 announcement due",
        "01-30T08:00 translation-7d planned",
        "02-16T08:00 fellowship-7d merged",
        "02-16T08:00 interpretation-7d planned",
        "02-27T08:00 registration-7d merged",
        "02-27T08:00 visa-7d planned",
        "03-05T08:00 registration-1d merged",
        "03-05T08:00 visa-1d planned",
        "03-18T08:00 contribution-7d planned",
        "03-22T08:00 contribution-3d planned",
        "03-24T08:00 contribution-1d planned",
        // Summer time in Zurich from 28 March.
        "03-30T07:00 documents planned",
        "04-05T07:00 tomorrow planned",
        "05-19T07:00 report-reminder planned",
    ];
    assert_eq!(text, expected);
    assert_eq!(state(&notices, "letter-late"), &NoticeState::Skipped(Skip::InTime));
    assert_eq!(state(&notices, "letter-missing"), &NoticeState::Skipped(Skip::Announced));
}

#[test]
fn announced_late_skips_what_is_past_and_warns_the_managers() {
    let m = announced("2027-03-18T07:00:00Z");
    let notices = planned(&m, &Sent::new(), "2027-03-18T07:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:announcement:0", "sg12rg-amr-2027:letter-late:0"]);
    assert_eq!(state(&notices, "visa-1d"), &NoticeState::Skipped(Skip::MilestonePast));
    // Due an hour after the announcement, which names the deadline.
    assert_eq!(state(&notices, "contribution-7d"), &NoticeState::MergedInto("sg12rg-amr-2027:announcement:0".parse().unwrap()));
    assert_eq!(state(&notices, "contribution-3d"), &NoticeState::Planned);
}

#[test]
fn a_draft_is_never_announced_by_itself_and_its_managers_are_warned_at_75_days() {
    let m = meeting();
    let notices = planned(&m, &Sent::new(), "2027-01-21T08:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:letter-missing:0"]);
    assert_eq!((m.first_day() - civil::day(ZURICH.zone, at("2027-01-21T08:00:00Z"))).num_days(), 75);
    let notices = planned(&m, &Sent::new(), "2027-01-21T07:59:59Z");
    assert!(due(&notices).is_empty());
    let unplanned = Meeting { planned: false, ..m };
    assert_eq!(due(&planned(&unplanned, &Sent::new(), "2026-12-22T08:00:00Z")), ["sg12rg-amr-2027:letter-missing:0"]);
}

#[test]
fn downtime_is_caught_up_by_one_notice() {
    let m = announced("2026-12-01T10:00:00Z");
    let mut sent = Sent::new();
    send(&planned(&m, &sent, "2026-12-01T10:00:00Z"), &mut sent, at("2026-12-01T10:00:00Z"));
    // Away from before the translation reminder until a day before the registration deadline.
    let now = "2027-03-05T12:00:00Z";
    let notices = planned(&m, &sent, now);
    assert_eq!(due(&notices).len(), 1, "{notices:#?}");
    assert_eq!(state(&notices, "translation-7d"), &NoticeState::Skipped(Skip::MilestonePast));
    let lead = send(&notices, &mut sent, at(now)).remove(0);
    assert_eq!(notices.iter().filter(|n| n.state == NoticeState::MergedInto(lead.clone())).count(), 3);
    assert!(due(&planned(&m, &sent, now)).is_empty());
    // Six o'clock in the morning of the next reminder's day: what was missed waits for nine.
    let mut sent = Sent::from([("sg12rg-amr-2027:announcement:0".parse().unwrap(), at(now))]);
    assert!(due(&planned(&m, &sent, "2027-03-22T05:00:00Z")).is_empty());
    let notices = planned(&m, &sent, "2027-03-22T08:00:00Z");
    assert_eq!(send(&notices, &mut sent, at("2027-03-22T08:00:00Z")).len(), 1);
}

#[test]
fn a_new_venue_repeats_no_reminder_and_new_dates_do() {
    let lead_times = LeadTimes::default();
    let m = announced("2026-12-01T10:00:00Z");
    let mut sent = Sent::new();
    for now in ["2026-12-01T10:00:00Z", "2027-01-30T08:00:00Z"] {
        send(&planned(&m, &sent, now), &mut sent, at(now));
    }
    let mut wanted = m.clone();
    wanted.city = "Puebla".into();
    let moved = m.revised(wanted, &lead_times, at("2027-01-31T10:00:00Z"), "ana@example.org").meeting;
    assert_eq!((moved.sequence, moved.status), (1, MeetingStatus::Updated));
    let notices = planned(&moved, &sent, "2027-01-31T10:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:change:1"]);
    assert!(matches!(state(&notices, "translation-7d"), NoticeState::Sent(_)));
    send(&notices, &mut sent, at("2027-01-31T10:00:00Z"));

    let mut wanted = moved.clone();
    wanted.span = Span::Hours { start: wall("2027-06-08T09:30:00"), end: wall("2027-06-09T17:30:00") };
    let later = moved.revised(wanted, &lead_times, at("2027-02-01T10:00:00Z"), "ana@example.org").meeting;
    let notices = planned(&later, &sent, "2027-02-01T10:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:change:2"]);
    assert_eq!(state(&notices, "translation-7d"), &NoticeState::Planned);
    assert!(notices.iter().any(|n| n.key.to_string() == "sg12rg-amr-2027:translation-7d:2"));
}

#[test]
fn cancellation_ends_the_plan_and_tells_once() {
    let lead_times = LeadTimes::default();
    let m = announced("2026-12-01T10:00:00Z");
    let mut sent = Sent::new();
    send(&planned(&m, &sent, "2026-12-01T10:00:00Z"), &mut sent, at("2026-12-01T10:00:00Z"));
    let mut wanted = m.clone();
    wanted.city = "Puebla".into();
    let m = m.revised(wanted, &lead_times, at("2027-01-01T10:00:00Z"), "ana@example.org").meeting;
    let m = m.with_status(MeetingStatus::Cancelled, &lead_times, at("2027-01-01T10:05:00Z"), "ana@example.org").meeting;
    let notices = planned(&m, &sent, "2027-01-01T10:05:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:cancelled:2"]);
    assert_eq!(state(&notices, "change"), &NoticeState::MergedInto("sg12rg-amr-2027:cancelled:2".parse().unwrap()));
    send(&notices, &mut sent, at("2027-01-01T10:05:00Z"));
    assert!(due(&planned(&m, &sent, "2027-03-30T10:00:00Z")).is_empty());
    // Cancelled before anybody knew of it: nobody is told.
    let unknown =
        announced("2026-12-01T10:00:00Z").with_status(MeetingStatus::Cancelled, &lead_times, at("2026-12-01T10:01:00Z"), "x").meeting;
    assert!(due(&planned(&unknown, &Sent::new(), "2026-12-01T10:02:00Z")).is_empty());
}

#[test]
fn a_group_that_withdraws_is_told_apart_and_the_leading_one_cannot() {
    let lead_times = LeadTimes::default();
    let mut m = announced("2026-12-01T10:00:00Z");
    m.groups.push("SG2RG-AMR".parse().unwrap());
    let sent = Sent::from([("sg12rg-amr-2027:announcement:0".parse().unwrap(), at("2026-12-01T10:00:00Z"))]);
    assert!(m.without(&"SG12RG-AMR".parse().unwrap(), &lead_times, at("2027-01-01T10:00:00Z"), "x").is_err());
    let m = m.without(&"SG2RG-AMR".parse().unwrap(), &lead_times, at("2027-01-01T10:00:00Z"), "x").unwrap().meeting;
    let notices = planned(&m, &sent, "2027-01-01T10:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:withdrawn-sg2rg-amr:1", "sg12rg-amr-2027:change:1"]);
    assert_eq!(notices.iter().find(|n| n.kind == NoticeKind::Withdrawal).unwrap().to, To::Leaving("SG2RG-AMR".parse().unwrap()));
}

#[test]
fn a_report_goes_to_group_and_parent_and_ends_the_reminder() {
    let mut m = announced("2026-12-01T10:00:00Z");
    let sent = Sent::from([("sg12rg-amr-2027:announcement:0".parse().unwrap(), at("2026-12-01T10:00:00Z"))]);
    assert_eq!(due(&planned(&m, &sent, "2027-05-19T07:00:00Z")), ["sg12rg-amr-2027:report-reminder:0"]);
    let report = super::super::Report {
        reference: "SG12RG-AMR-R1".into(),
        url: String::new(),
        file: None,
        at: at("2027-05-01T08:00:00Z"),
        attendance: Some(41),
    };
    m.report = Some(report);
    let notices = planned(&m, &sent, "2027-05-19T07:00:00Z");
    assert_eq!(due(&notices), ["sg12rg-amr-2027:report:0"]);
    assert_eq!(state(&notices, "report-reminder"), &NoticeState::Skipped(Skip::ReportThere));
}

mod random {
    use super::*;
    use chrono::Duration;
    use proptest::prelude::*;

    const ZONES: [Tz; 5] =
        [Tz::Europe__Zurich, Tz::America__Santiago, Tz::Africa__Freetown, Tz::Australia__Lord_Howe, Tz::America__Mexico_City];

    #[derive(Debug, Clone)]
    enum Act {
        Announce,
        City(u8),
        Move(i64),
        Deadline(i64),
        Status(MeetingStatus),
        Wait(i64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            2 => Just(Act::Announce),
            1 => any::<u8>().prop_map(Act::City),
            1 => (-40_i64..80).prop_map(Act::Move),
            1 => (1_i64..50).prop_map(Act::Deadline),
            1 => prop_oneof![Just(MeetingStatus::Cancelled), Just(MeetingStatus::Postponed), Just(MeetingStatus::Announced)].prop_map(Act::Status),
            8 => (1_i64..400).prop_map(Act::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        /// Whatever people do, and however long the service sleeps: nothing twice, nothing past, no burst, the right hour.
        #[test]
        fn nothing_twice_and_nothing_for_a_past_milestone(
            lead in 20_i64..200, zone in 0_usize..5, place in 0_usize..5, acts in prop::collection::vec(act(), 1..60),
        ) {
            let (settings, lead_times) = (Settings { zone: ZONES[zone] }, LeadTimes::default());
            let mut now = at("2026-01-15T03:00:00Z");
            let start = (now + Duration::days(lead)).date_naive().and_hms_opt(9, 30, 0).unwrap();
            let span = Span::Hours { start, end: start + Duration::hours(32) };
            let mut m = Meeting { span, zone: ZONES[place], ..meeting() }.created(now);
            let mut sent = Sent::new();
            let mut seen = BTreeSet::new();
            for act in acts {
                let mut wanted = m.clone();
                let before = now;
                match act {
                    Act::Announce => wanted.status = MeetingStatus::Announced,
                    Act::City(n) => wanted.city = format!("City {n}"),
                    Act::Move(days) => {
                        let start = m.span.first_day().and_hms_opt(9, 30, 0).unwrap() + Duration::days(days);
                        wanted.span = Span::Hours { start, end: start + Duration::hours(32) };
                    }
                    Act::Deadline(days) => {
                        wanted.deadlines.insert(DeadlineKind::Contribution, m.first_day() - Duration::days(days));
                    }
                    Act::Status(status) => wanted.status = status,
                    Act::Wait(hours) => now += Duration::hours(hours),
                }
                m = m.revised(wanted, &lead_times, now, "test").meeting;
                let notices = plan(&m, &lead_times, settings, &sent, now);
                let due: Vec<_> = notices.iter().filter(|n| n.state == NoticeState::Due).cloned().collect();
                prop_assert!(due.iter().filter(|n| n.to == To::Subscribers).count() <= 1, "a burst: {due:#?}");
                for notice in &due {
                    prop_assert!(notice.at <= now && now < notice.until, "{notice:?} at {now}");
                    prop_assert!(m.announced_at.is_some() || notice.to == To::Managers);
                    if let Some(deadline) = notice.deadline {
                        prop_assert!(civil::day(settings.zone, now) <= deadline.date);
                    }
                    if !notice.kind.is_act() && notice.kind != NoticeKind::LetterLate {
                        let hour = civil::wall(settings.zone, notice.at).time();
                        prop_assert_eq!(hour, lead_times.hour);
                    }
                }
                // Nothing merged may point at what is not there or is itself merged.
                for notice in &notices {
                    if let NoticeState::MergedInto(key) = &notice.state {
                        let target = notices.iter().find(|n| &n.key == key);
                        prop_assert!(target.is_some_and(|t| !matches!(t.state, NoticeState::MergedInto(_))), "{notice:?} of {notices:#?}");
                    }
                }
                for key in send(&notices, &mut sent, now) {
                    prop_assert!(seen.insert(key.clone()), "{key} twice");
                }
                let again = plan(&m, &lead_times, settings, &sent, now);
                prop_assert!(again.iter().all(|n| n.state != NoticeState::Due), "not settled: {again:#?}");
                // A clock that goes back finds nothing that was sent.
                let back = plan(&m, &lead_times, settings, &sent, before);
                prop_assert!(back.iter().all(|n| n.state != NoticeState::Due || !seen.contains(&n.key)));
            }
        }
    }
}
