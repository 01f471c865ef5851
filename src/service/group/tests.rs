use super::*;
use crate::config::Config;
use crate::domain::group::{ParticipationPolicy, Region};

const SHIPPED: &str = include_str!("../../../config/groups.toml");

fn shipped() -> (Vec<Group>, Vec<String>) {
    parse(SHIPPED, "groups.toml", &Config::default(), &[]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

const PARENT: &str = "[[group]]\ncode = \"SG12\"\nkind = \"study\"\nlist = \"sg12\"\nname = { en = \"Study Group 12\" }\n";

fn problems(text: &str) -> Vec<String> {
    parse(text, "g.toml", &Config::default(), &[]).expect_err(text).iter().map(ToString::to_string).collect()
}

#[test]
fn the_shipped_groups_are_the_25_with_their_parents_and_tsag() {
    let (groups, warnings) = shipped();
    let count = |region| groups.iter().filter(|group| group.region == Some(region)).count();
    assert_eq!(groups.len(), 25 + 8 + 1);
    let by_region = [Region::Africa, Region::Americas, Region::ArabStates, Region::AsiaPacific, Region::Eecat, Region::Europe].map(count);
    assert_eq!(by_region, [8, 5, 5, 2, 4, 1]);
    for group in groups.iter().filter(|group| group.kind == GroupKind::Regional) {
        let parent = group.parent.as_ref().unwrap();
        assert!(group.code.as_str().starts_with(&format!("{parent}RG-")), "{}", group.code);
        assert_eq!(group.is_sg3(), parent.as_str() == "SG3", "{}", group.code);
        assert!(group.languages.iter().all(|language| group.name.get(*language).is_some()), "{}", group.code);
    }
    let amr = groups.iter().find(|group| group.code.as_str() == "SG12RG-AMR").unwrap();
    assert_eq!(amr.languages.iter().map(ToString::to_string).collect::<Vec<_>>(), ["en", "es"]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("supporting members") && !warnings[0].contains("SG12RG-AMR"), "{warnings:?}");
}

#[test]
fn what_a_file_leaves_out_has_the_documented_defaults() {
    let (groups, _) = parse(PARENT, "g.toml", &Config::default(), &[]).unwrap();
    let group = &groups[0];
    assert_eq!(group.languages.len(), 1);
    assert_eq!(group.timezone, chrono_tz::Europe::Zurich);
    assert_eq!(group.participation, ParticipationPolicy::Standard);
    assert_eq!(group.grace, std::time::Duration::from_mins(10));
    assert!(group.personal && !group.retired && group.footer.is_none());
}

#[test]
fn an_endorsing_parent_and_own_lead_times_are_read_and_a_wrong_one_is_named() {
    let regional = "code = \"SG12RG-AMR\"\nkind = \"regional\"\nparent = \"SG12\"\nregion = \"americas\"\nlist = \"sg12rg-amr\"\nname = { en = \"x\" }\n";
    let more = "parent_must_endorse = true\n[group.meetings]\nletter_planned = \"3 months\"\ndeadlines = { registration = { before = \"2 months\" } }\n";
    let (groups, _) = parse(&format!("{PARENT}[[group]]\n{regional}{more}"), "g.toml", &Config::default(), &[]).unwrap();
    assert!(!groups[0].parent_must_endorse && groups[1].parent_must_endorse);
    let service = Config::default().meetings;
    let own = groups[1].meetings.over(&service);
    assert_eq!((own.letter_planned.to_string().as_str(), own.letter_unplanned), ("3 months", service.letter_unplanned));
    let registration = &own.deadlines[&crate::domain::meeting::DeadlineKind::Registration];
    assert_eq!((registration.before.unwrap().to_string().as_str(), registration.remind.len()), ("2 months", 0));
    assert_eq!(groups[0].meetings.over(&service), service, "who sets nothing has the service's");
    for (text, expected) in [
        (
            format!("{PARENT}parent_must_endorse = true\n"),
            "line 6: SG12 is not regional, so no parent endorses its statements; leave the key out",
        ),
        (format!("{PARENT}meetings = {{ letter_planned = \"soon\" }}\n"), "\"soon\" is not a lead time"),
        (format!("{PARENT}meetings = {{ letter = \"3 months\" }}\n"), "letter"),
    ] {
        assert!(problems(&text)[0].contains(expected), "{:?}", problems(&text));
    }
}

#[test]
fn mistakes_are_named_with_line_and_remedy() {
    let regional = |more: &str| {
        format!("{PARENT}\n[[group]]\ncode = \"SG12RG-AMR\"\nkind = \"regional\"\nlist = \"sg12rg-amr\"\nname = {{ en = \"x\" }}\n{more}")
    };
    for (text, expected) in [
        (regional(""), "g.toml, line 8: SG12RG-AMR is regional and has no parent; add parent"),
        (regional("parent = \"SG12\"\n"), "g.toml, line 8: SG12RG-AMR is regional and has no region; add region"),
        (
            regional("parent = \"SG13\"\nregion = \"americas\"\n"),
            "g.toml, line 12: the parent SG13 is neither in the file nor among the groups",
        ),
        (regional("parent = \"SG12RG-AMR\"\nregion = \"americas\"\n"), "line 12: SG12RG-AMR is its own parent"),
        (
            regional("parent = \"SG12\"\nregoin = \"americas\"\n"),
            "g.toml, line 13: unknown key \"regoin\"; the nearest known key is \"region\"",
        ),
        (regional("parent = \"SG12\"\nregion = \"america\"\n"), "line 13: unknown variant `america`"),
        (regional("parent = \"SG12\"\nregion = \"americas\"\nlanguages = []\n"), "line 14: SG12RG-AMR has no working language"),
        (regional("parent = \"SG12\"\nregion = \"americas\"\ngrace = \"never\"\n"), "line 14: \"never\" is not a duration"),
        (regional("parent = \"SG12\"\nregion = \"americas\"\nmissing_edition = \"wait\"\n"), "line 14: \"wait\" is none of"),
        (regional("parent = \"SG12\"\nregion = \"americas\"\ntimezone = \"Mexico\"\n"), "line 14: "),
        (format!("{PARENT}region = \"americas\"\n"), "line 6: SG12 has a region and is not regional"),
        (format!("{PARENT}{PARENT}"), "g.toml, line 7: SG12 stands twice in the file; leave this one or that of line 2 out"),
        (PARENT.replace("\"sg12\"", "\"sg12-owner\""), "line 4: the list name \"sg12-owner\" ends in \"-owner\""),
        (PARENT.replace("\"sg12\"", "\"SG12\""), "line 4: \"SG12\" is not a list name; use lower-case"),
        (PARENT.replace("list = \"sg12\"\n", ""), "line 2: SG12 has no list"),
        (PARENT.replace("\"Study Group 12\"", "\"a\\nb\""), "line 5: the name in \"en\""),
        (PARENT.replace("code = \"SG12\"\n", ""), "line 1: missing field `code`"),
        (PARENT.replace("\"study\"", "\"external\""), "line 2: SG12 is external and has no contact"),
        (String::new(), "line 1: no group is in the file"),
        ("[[gruop]]\n".to_owned(), "line 1: unknown key \"gruop\"; the nearest known key is \"group\""),
    ] {
        let found = problems(&text);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}\n→ {found:?}");
    }
}

#[test]
fn a_list_name_may_move_but_not_be_shared() {
    let (existing, _) = parse(PARENT, "g.toml", &Config::default(), &[]).unwrap();
    let other = PARENT.replace("\"SG12\"", "\"SG13\"");
    let found = parse(&other, "g.toml", &Config::default(), &existing).unwrap_err();
    assert!(found[0].text.contains("is that of SG12"), "{found:?}");
    let renamed = PARENT.replace("\"sg12\"", "\"studygroup12\"");
    assert!(parse(&renamed, "g.toml", &Config::default(), &existing).is_ok());
}
