//! Two simulated years: 25 groups, 60 meetings, changes, cancellations, joint meetings, a week of downtime, clock jumps
//! both ways, 30 restarts. Each due notice exactly once, none for a past milestone, at the right local hour.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use enlace::domain::group::GroupCode;
use enlace::domain::meeting::notices::{Sent, merged_into, next_time, plan};
use enlace::domain::meeting::{
    DeadlineKind, LeadTimes, Meeting, MeetingId, MeetingStatus, NoticeKey, NoticeKind, NoticeState, Report, Settings, Skip, Span, To, civil,
};

use crate::given::{at, draft};

const ZONES: [Tz; 9] = [
    Tz::Europe__Zurich,
    Tz::America__Mexico_City,
    Tz::America__Santiago,
    Tz::Africa__Johannesburg,
    Tz::Africa__Cairo,
    Tz::Asia__Tashkent,
    Tz::Asia__Kathmandu,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
];

/// A small generator with a seed, so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What people do, and when.
#[derive(Debug, Clone)]
enum Act {
    Write(Box<Meeting>),
    Announce,
    City(String),
    Move(i64),
    Deadline(i64),
    Cancel,
    Postpone,
    NewDates(NaiveDate),
    Withdraw(GroupCode),
    Report,
}

/// The world outside the plan: what is on disk, and the clock.
struct World {
    lead_times: LeadTimes,
    /// On disk: survives restarts.
    meetings: BTreeMap<MeetingId, Meeting>,
    sent: BTreeMap<MeetingId, Sent>,
    /// Posts by their repetition key, with what each said; on disk too.
    posts: BTreeMap<NoticeKey, Vec<NoticeKey>>,
    /// What went out, in order.
    log: Vec<(DateTime<Utc>, NoticeKey)>,
    /// Everything that was said by any post.
    said: BTreeSet<NoticeKey>,
}

impl World {
    fn zone(meeting: &Meeting) -> Tz {
        ZONES[meeting.lead().as_str().bytes().map(usize::from).sum::<usize>() % ZONES.len()]
    }

    fn act(&mut self, id: &MeetingId, act: &Act, now: DateTime<Utc>) {
        if let Act::Write(meeting) = act {
            self.meetings.insert(id.clone(), meeting.clone().created(now));
            return;
        }
        let old = self.meetings[id].clone();
        let lead = &self.lead_times;
        let mut wanted = old.clone();
        let shift = |span: &Span, days: i64| match *span {
            Span::Hours { start, end } => Span::Hours { start: start + TimeDelta::days(days), end: end + TimeDelta::days(days) },
            Span::Days { first, last } => Span::Days { first: first + TimeDelta::days(days), last: last + TimeDelta::days(days) },
        };
        match act {
            Act::Write(_) => unreachable!("handled above"),
            Act::Announce => wanted.status = MeetingStatus::Announced,
            Act::City(city) => wanted.city.clone_from(city),
            Act::Move(days) => wanted.span = shift(&old.span, *days),
            Act::Deadline(before) => {
                wanted.deadlines.insert(DeadlineKind::Contribution, old.first_day() - TimeDelta::days(*before));
            }
            Act::Cancel => wanted.status = MeetingStatus::Cancelled,
            Act::Postpone => wanted.status = MeetingStatus::Postponed,
            Act::NewDates(day) => {
                wanted.status = MeetingStatus::Announced;
                wanted.span = shift(&old.span, (*day - old.first_day()).num_days());
            }
            Act::Withdraw(group) => {
                let next = old.without(group, lead, now, "test").unwrap().meeting;
                self.meetings.insert(id.clone(), next);
                return;
            }
            Act::Report => {
                let report = Report { reference: format!("{id}-R1"), url: String::new(), file: None, at: now, attendance: Some(40) };
                wanted.report = Some(report);
                wanted.status = MeetingStatus::Held;
            }
        }
        let next = old.revised(wanted, lead, now, "test").meeting;
        self.meetings.insert(id.clone(), next);
    }

    /// What a node does when it looks. `crash`: it dies after the post was kept, before the mark was written.
    /// Returns when the next notice is planned; at once after a crash.
    fn look(&mut self, now: DateTime<Utc>, crash: bool) -> DateTime<Utc> {
        let mut next = now + TimeDelta::days(1);
        for meeting in self.meetings.values() {
            let settings = Settings { zone: Self::zone(meeting) };
            let sent = self.sent.entry(meeting.id.clone()).or_default();
            let notices = plan(meeting, &self.lead_times, settings, sent, now);
            let due: Vec<_> = notices.iter().filter(|n| n.state == NoticeState::Due).collect();
            assert!(due.iter().filter(|n| n.to == To::Subscribers).count() <= 1, "a burst of {due:#?}");
            for notice in due {
                let covered: Vec<_> =
                    std::iter::once(notice.key.clone()).chain(merged_into(&notices, &notice.key).map(|n| n.key.clone())).collect();
                // The store knows the repetition key of a post from before the crash, and the post what it said.
                let covered = if let Some(first) = self.posts.get(&notice.key) {
                    first.clone()
                } else {
                    check(meeting, notice, &self.lead_times, settings, now);
                    for key in &covered {
                        assert!(self.said.insert(key.clone()), "{key} was said twice");
                    }
                    self.log.push((now, notice.key.clone()));
                    self.posts.insert(notice.key.clone(), covered.clone());
                    covered
                };
                if crash {
                    return now;
                }
                for key in covered {
                    sent.insert(key, now);
                }
            }
            next = next.min(next_time(&notices).unwrap_or(next));
        }
        next
    }
}

fn check(meeting: &Meeting, notice: &enlace::domain::meeting::Notice, lead_times: &LeadTimes, settings: Settings, now: DateTime<Utc>) {
    assert!(notice.at <= now && now < notice.until, "{} of {} went out at {now}", notice.key, notice.at);
    if let Some(deadline) = notice.deadline {
        assert!(civil::day(settings.zone, now) <= deadline.date, "{} went out after its deadline", notice.key);
    }
    if notice.kind == NoticeKind::Tomorrow || notice.kind == NoticeKind::Documents {
        assert!(now < meeting.opens(), "{} went out after the opening", notice.key);
    }
    if !notice.kind.is_act() && notice.kind != NoticeKind::LetterLate {
        assert_eq!(civil::wall(settings.zone, notice.at).time(), lead_times.hour, "{}", notice.key);
    }
}

/// The calendar of two years and what happens to it, by time.
fn history(chance: &mut Chance) -> Vec<(DateTime<Utc>, MeetingId, Act)> {
    let groups: Vec<GroupCode> =
        (0..25).map(|n| format!("SG{}RG-{}", 2 + n / 5, ["AFR", "AMR", "ARB", "AP", "EECAT"][n % 5]).parse().unwrap()).collect();
    let start = at("2026-01-05T06:00:00Z");
    let mut acts = Vec::new();
    for number in 0..60 {
        let id: MeetingId = format!("meeting-{number}").parse().unwrap();
        let mut meeting = draft(id.as_str());
        let first = usize::try_from(chance.below(25)).unwrap();
        meeting.groups = vec![groups[first].clone()];
        let joint = number % 5 == 0;
        if joint {
            meeting.groups.extend([groups[(first + 1) % 25].clone(), groups[(first + 2) % 25].clone()]);
        }
        meeting.zone = ZONES[usize::try_from(chance.below(9)).unwrap()];
        meeting.planned = chance.below(4) != 0;
        let opening = (start + TimeDelta::days(20 + i64::try_from(chance.below(690)).unwrap())).date_naive();
        let begin = opening.and_hms_opt(9, 30, 0).unwrap();
        meeting.span = Span::Hours { start: begin, end: begin + TimeDelta::hours(32) };
        let lead = i64::try_from(20 + chance.below(160)).unwrap();
        let moment = |days: i64, chance: &mut Chance| {
            let hour = i64::try_from(chance.below(24 * 60)).unwrap();
            (opening.and_hms_opt(0, 0, 0).unwrap().and_utc() - TimeDelta::days(days) + TimeDelta::minutes(hour)).max(start)
        };
        acts.push((moment(lead + 30, chance), id.clone(), Act::Write(Box::new(meeting.clone()))));
        let announced = moment(lead, chance);
        acts.push((announced, id.clone(), Act::Announce));
        let after =
            |chance: &mut Chance, from: i64| moment(i64::try_from(chance.below(u64::try_from(from.max(2)).unwrap())).unwrap(), chance);
        if number % 2 == 0 {
            acts.push((after(chance, lead - 2), id.clone(), Act::City(format!("City {number}"))));
            acts.push((after(chance, lead - 2), id.clone(), Act::Deadline(10 + number % 7)));
        }
        if number % 6 == 1 {
            acts.push((after(chance, lead - 2), id.clone(), Act::Move(if number % 4 == 1 { 14 } else { -3 })));
        }
        if joint {
            acts.push((after(chance, lead - 2), id.clone(), Act::Withdraw(meeting.groups[1].clone())));
        }
        match number % 10 {
            3 => acts.push((after(chance, lead), id.clone(), Act::Cancel)),
            7 => {
                acts.push((moment(lead / 2, chance), id.clone(), Act::Postpone));
                acts.push((moment(lead / 3, chance), id.clone(), Act::NewDates(opening + TimeDelta::days(60))));
            }
            2 => acts.push((moment(-30, chance), id.clone(), Act::Report)),
            _ => {}
        }
    }
    acts.sort_by_key(|(when, id, _)| (*when, id.clone()));
    // A draft is written before anything happens to it; acts before that are dropped, as are all before the announcement.
    let mut written = BTreeSet::new();
    let mut known = BTreeSet::new();
    acts.retain(|(_, id, act)| match act {
        Act::Write(_) => written.insert(id.clone()),
        Act::Announce => written.contains(id) && known.insert(id.clone()),
        _ => known.contains(id),
    });
    acts
}

#[test]
fn two_years_of_meetings() {
    let mut chance = Chance(20_260_105);
    let acts = history(&mut chance);
    let lead_times = LeadTimes::default();
    let mut world = World {
        lead_times: lead_times.clone(),
        meetings: BTreeMap::new(),
        sent: BTreeMap::new(),
        posts: BTreeMap::new(),
        log: Vec::new(),
        said: BTreeSet::new(),
    };
    let start = at("2026-01-05T06:00:00Z");
    let end = start + TimeDelta::days(730 + 120);
    // A week without the service, and a clock that is wrong for some hours: by a day ahead, a day and an hour behind.
    let down = at("2026-10-20T00:00:00Z")..at("2026-10-27T00:00:00Z");
    let skew = |true_time: DateTime<Utc>| {
        let within = |from: &str, hours| true_time >= at(from) && true_time < at(from) + TimeDelta::hours(hours);
        if within("2026-06-10T00:00:00Z", 6) || within("2027-03-10T12:00:00Z", 5) {
            TimeDelta::days(1)
        } else if within("2026-09-02T10:00:00Z", 9) {
            TimeDelta::days(-1)
        } else if within("2027-10-31T00:00:00Z", 4) {
            TimeDelta::hours(-1)
        } else {
            TimeDelta::zero()
        }
    };
    let restarts: BTreeSet<i64> = (0..30).map(|n| 15_000 + n * 6_000 + i64::try_from(chance.below(2_700)).unwrap()).collect();
    let mut acts = acts.into_iter().peekable();
    let (mut now, mut step) = (start, 0_i64);
    let (mut crash, mut crashes, mut next, mut before) = (false, 0, start, start);
    while now < end {
        step += 1;
        now += TimeDelta::minutes(5);
        if down.contains(&now) {
            continue;
        }
        let shown = now + skew(now);
        let mut rung = false;
        while acts.peek().is_some_and(|(when, ..)| *when <= now) {
            let (_, id, act) = acts.next().unwrap();
            world.act(&id, &act, shown);
            rung = true;
        }
        // The restart falls into the next sending, where it can do harm.
        crash |= restarts.contains(&step);
        // A sleeper wakes at the next notice, by the bell, at a restart, and when the clock was set.
        let clock_set = (shown - before).abs() > TimeDelta::minutes(30);
        if rung || clock_set || shown >= next {
            next = world.look(shown, crash);
            if crash && next == shown {
                (crash, crashes) = (false, crashes + 1);
            }
        }
        before = shown;
    }
    assert_eq!(crashes, 30);
    assert_eq!(world.meetings.len(), 60);
    nothing_is_missing(&world, end, &down);
    let of = |kind: &str| world.log.iter().filter(|(_, key)| key.milestone.starts_with(kind)).count();
    println!("{} notices: {} announcements, {} changes, {} tomorrow", world.log.len(), of("announcement"), of("change"), of("tomorrow"));
    assert!(of("announcement") >= 55 && of("change") > 40 && of("cancelled") >= 4 && of("withdrawn") >= 8 && of("postponed") >= 4);
    assert!(of("contribution") > 60 && of("report") >= 30, "{}", of("contribution"));
    punctual(&world, &down, &lead_times);
}

/// What the plan says at the end: everything is sent, said by another, or skipped for a reason that holds.
fn nothing_is_missing(world: &World, end: DateTime<Utc>, down: &std::ops::Range<DateTime<Utc>>) {
    for meeting in world.meetings.values() {
        let zone = World::zone(meeting);
        let sent = &world.sent[&meeting.id];
        for notice in plan(meeting, &world.lead_times, Settings { zone }, sent, end) {
            match notice.state {
                NoticeState::Skipped(Skip::MilestonePast) => {
                    let set = meeting
                        .announced_at
                        .unwrap()
                        .max(meeting.moved.values().map(|m| m.at).max().unwrap_or(end - TimeDelta::days(9999)));
                    let asleep = notice.at >= down.start - TimeDelta::days(1) && notice.until <= down.end + TimeDelta::days(1);
                    assert!(notice.until <= set || asleep, "{} was lost: {notice:#?}", notice.key);
                }
                NoticeState::Sent(_) | NoticeState::MergedInto(_) | NoticeState::Skipped(_) => {}
                NoticeState::Due | NoticeState::Planned => panic!("{} is still to come at the end", notice.key),
            }
        }
    }
}

/// A notice of the calendar goes out within ten minutes of nine at the group's place, unless the service was
/// away, the clock was wrong, or what it says was merged with something that was late.
fn punctual(world: &World, down: &std::ops::Range<DateTime<Utc>>, lead_times: &LeadTimes) {
    let (mut on_time, mut late) = (0, Vec::new());
    for (went, key) in &world.log {
        let scheduled =
            lead_times.reminders(DeadlineKind::Contribution).iter().any(|l| key.milestone == format!("contribution-{}", l.short()))
                || key.milestone == "tomorrow"
                || key.milestone == "documents";
        if !scheduled {
            continue;
        }
        let zone = World::zone(&world.meetings[&key.meeting]);
        let hour = civil::wall(zone, *went).time() - lead_times.hour;
        if (0..10).contains(&hour.num_minutes()) {
            on_time += 1;
        } else {
            late.push((*went, key.clone()));
        }
    }
    assert!(on_time > 150, "{on_time} on time");
    for (went, key) in late {
        let excused = (went >= down.end && went < down.end + TimeDelta::hours(1))
            || ["2026-06-1", "2026-09-0", "2027-03-1", "2027-10-3", "2027-11-0"].iter().any(|day| went.to_rfc3339().starts_with(day));
        assert!(excused, "{key} went out at {went}");
    }
}
