//! Every operation of the API: one table, from which the router, the rights and the OpenAPI document are made.
//!
//! Each is a command of the command line, so that its JSON has the same keys; a test parses the words of each with the command
//! line's own parser.

use super::operation::{Field, Goes, Listed, Operation, Shape};
use crate::service::token::Area;

const fn field(name: &'static str, shape: Shape, goes: Goes, needed: bool, about: &'static str) -> Field {
    Field { name, shape, goes, needed, about }
}

const fn last(name: &'static str, shape: Shape, about: &'static str) -> Field {
    field(name, shape, Goes::Last, true, about)
}

const fn option(name: &'static str, shape: Shape, option: &'static str, about: &'static str) -> Field {
    field(name, shape, Goes::Option(option), false, about)
}

const fn needed(name: &'static str, shape: Shape, option: &'static str, about: &'static str) -> Field {
    field(name, shape, Goes::Option(option), true, about)
}

const fn read(path: &'static str, id: &'static str, area: Area, command: &'static [&'static str], summary: &'static str) -> Operation {
    Operation { method: "GET", path, id, summary, area, writes: false, command, fields: &[], either: &[], listed: None, rehearses: false }
}

const fn list(
    path: &'static str,
    id: &'static str,
    area: Area,
    command: &'static [&'static str],
    key: &'static str,
    summary: &'static str,
) -> Operation {
    Operation { listed: Some(Listed { key, by_parts: false }), ..read(path, id, area, command, summary) }
}

/// A list that may be long: the command reads no more of it than one page.
const fn long_list(
    path: &'static str,
    id: &'static str,
    area: Area,
    command: &'static [&'static str],
    key: &'static str,
    summary: &'static str,
) -> Operation {
    Operation { listed: Some(Listed { key, by_parts: true }), ..read(path, id, area, command, summary) }
}

/// One that cannot be tried out.
const fn at_once(operation: Operation) -> Operation {
    Operation { rehearses: false, ..operation }
}

const fn act(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    area: Area,
    command: &'static [&'static str],
    fields: &'static [Field],
    summary: &'static str,
) -> Operation {
    Operation { method, path, id, summary, area, writes: true, command, fields, either: &[], listed: None, rehearses: true }
}

/// One of these fields must be there.
const fn either(operation: Operation, names: &'static [&'static str]) -> Operation {
    Operation { either: names, ..operation }
}

const fn with(operation: Operation, fields: &'static [Field]) -> Operation {
    Operation { fields, ..operation }
}

const ADDRESSES: Field = last("addresses", Shape::Texts, "addresses of accounts");
const SETTINGS: [Field; 12] = [
    option("role", Shape::Text, "--role", "`member`, `moderator` or `manager`"),
    option("languages", Shape::Texts, "--languages", "languages in order of preference"),
    option("delivery", Shape::Text, "--delivery", "`each`, `digest` or `none`"),
    option("until", Shape::Text, "--until", "last day of that delivery"),
    option("streams", Shape::Texts, "--streams", "streams that are on: `announce`, `liaison`, `discuss`"),
    option("both", Shape::Truth, "--both", "all editions in her languages"),
    option("own_posts", Shape::Truth, "--own-posts", "does she get her own posts?"),
    option("links", Shape::Truth, "--links", "links instead of attachments"),
    option("plain_digest", Shape::Truth, "--plain-digest", "digests as plain text"),
    option("moderated", Shape::Truth, "--moderated", "are her posts held for a moderator first?"),
    option("invitations", Shape::Truth, "--invitations", "meetings as invitations to her alone"),
    option("absence", Shape::Text, "--absence", "days without mail, such as `from 2027-01-10 until 2027-01-15`; `none` ends them"),
];
const ADD: &[Field] = &[
    ADDRESSES,
    SETTINGS[0],
    SETTINGS[1],
    SETTINGS[2],
    SETTINGS[3],
    SETTINGS[4],
    SETTINGS[5],
    SETTINGS[6],
    SETTINGS[7],
    SETTINGS[8],
    SETTINGS[9],
    SETTINGS[10],
    SETTINGS[11],
    option("invite", Shape::Text, "--invite", "invite an outsider: the last day, or an empty text for no end"),
];
const FILTER: &[Field] = &[
    option("group", Shape::Text, "--group", "kept for this group"),
    option("direction", Shape::Text, "--direction", "`incoming` or `outgoing`"),
    option("purpose", Shape::Text, "--purpose", "`action`, `comment` or `information`"),
    option("state", Shape::Text, "--state", "such as `held` or `overdue`"),
    option("question", Shape::Text, "--question", "such as 7/12"),
    option("deadline_from", Shape::Text, "--deadline-from", "deadline on this day or later"),
    option("deadline_to", Shape::Text, "--deadline-to", "deadline on this day or earlier"),
    option("text", Shape::Text, "--text", "words in it"),
];
const EXPORT: &[Field] = &[FILTER[0], FILTER[3], option("format", Shape::Text, "--format", "`csv`, `json` or `mbox`")];
const SUBMIT: &[Field] = &[last("message", Shape::File, "the mail"), option("group", Shape::Text, "--group", "for this group")];
const PERIOD: &[Field] = &[
    last("period", Shape::Text, "its first and last year, such as 2025-2028"),
    needed("answer_by", Shape::Text, "--answer-by", "last day for the answer"),
    option("groups", Shape::Texts, "--group", "only these groups"),
];
const TOML: &[Field] = &[last("toml", Shape::File, "the file as text")];
const GROUP_SETTINGS: &[Field] = &[last("fields", Shape::Pairs, "what to set, such as {\"release_by\": \"2\", \"purpose.es\": \"…\"}")];
const RULES: &[Field] = &[option(
    "rules",
    Shape::File,
    "--from",
    "`[[rule]]` tables of TOML that take the place of the group's rules before they are carried out",
)];
const RENEW: Field = option("renew", Shape::Switch, "--renew", "make a new address; the one before ends");
const ID_REASON: &[Field] = &[needed("reason", Shape::Text, "--reason", "what the author is told")];

/// All of them.
pub const OPERATIONS: &[Operation] = &[
    list("/groups", "listGroups", Area::Groups, &["group", "list"], "code", "All groups."),
    act("POST", "/groups", "applyGroups", Area::Groups, &["group", "apply"], TOML, "Add and change groups as a TOML file says."),
    read("/groups/{code}", "showGroup", Area::Groups, &["group", "show"], "One group with its settings and addresses."),
    act("PATCH", "/groups/{code}", "setGroup", Area::Groups, &["group", "set"], GROUP_SETTINGS, "Change settings of a group."),
    act("POST", "/groups/{code}/retire", "retireGroup", Area::Groups, &["group", "retire"], &[], "End a group."),
    long_list(
        "/groups/{code}/members",
        "listMembers",
        Area::Members,
        &["member", "list"],
        "address",
        "All subscribers with state and reason.",
    ),
    act(
        "POST",
        "/groups/{code}/members",
        "addMembers",
        Area::Members,
        &["member", "add"],
        ADD,
        "Subscribe accounts; what the gate refuses is listed with its rule.",
    ),
    act(
        "POST",
        "/groups/{code}/members/import",
        "importMembers",
        Area::Members,
        &["member", "import"],
        &[last("csv", Shape::File, "the rows as CSV")],
        "Subscribe everybody in a CSV file.",
    ),
    act("PATCH", "/groups/{code}/members/{address}", "setMember", Area::Members, &["member", "set"], &SETTINGS, "Change a subscription."),
    act(
        "DELETE",
        "/groups/{code}/members/{address}",
        "removeMember",
        Area::Members,
        &["member", "remove"],
        &[],
        "End a subscription; no import brings the person back.",
    ),
    long_list("/accounts", "listAccounts", Area::Accounts, &["account", "list"], "address", "All accounts."),
    act(
        "POST",
        "/accounts/import",
        "importAccounts",
        Area::Accounts,
        &["account", "import"],
        &[
            last("csv", Shape::File, "the rows as CSV"),
            option("sync", Shape::Switch, "--sync", "also remove who is absent"),
            option("force", Shape::Switch, "--force", "let `sync` remove more than 10 %"),
            option("readmit", Shape::Switch, "--readmit", "take persons in who were erased before"),
        ],
        "Add and change accounts; every subscription follows.",
    ),
    read("/accounts/{address}", "showAccount", Area::Accounts, &["account", "show"], "One account with its subscriptions."),
    act(
        "PATCH",
        "/accounts/{address}",
        "setAccount",
        Area::Accounts,
        &["account", "set"],
        &[last("fields", Shape::Pairs, "what to set, such as {\"country\": \"MX\"}; an empty text clears")],
        "Change fields of an account.",
    ),
    act(
        "POST",
        "/accounts/{address}/suspend",
        "suspendAccount",
        Area::Accounts,
        &["account", "suspend"],
        &[option("reason", Shape::Text, "--reason", "shown to managers")],
        "Suspend an account; its subscriptions rest.",
    ),
    act("DELETE", "/accounts/{address}", "eraseAccount", Area::Accounts, &["account", "erase"], &[], "Erase a person."),
    read("/accounts/{address}/export", "exportAccount", Area::Accounts, &["account", "export"], "Everything that is kept about a person."),
    long_list("/holds", "listHeld", Area::Holds, &["hold", "list"], "id", "Posts that wait for a moderator or for their author."),
    read("/holds/{id}", "showHeld", Area::Holds, &["hold", "show"], "One held post."),
    act(
        "POST",
        "/holds/{id}/release",
        "releaseHeld",
        Area::Holds,
        &["hold", "release"],
        &[option("always", Shape::Switch, "--always", "let its proved sender through always from now on")],
        "Distribute a held post.",
    ),
    act("POST", "/holds/{id}/reject", "rejectHeld", Area::Holds, &["hold", "reject"], ID_REASON, "Send a held post back with a reason."),
    act("POST", "/holds/{id}/discard", "discardHeld", Area::Holds, &["hold", "discard"], &[], "Drop a held post without a word."),
    list(
        "/groups/{code}/allowed",
        "listAllowedSenders",
        Area::Holds,
        &["hold", "allowed"],
        "address",
        "Senders whom the moderators always let through.",
    ),
    act(
        "DELETE",
        "/groups/{code}/allowed/{address}",
        "disallowSender",
        Area::Holds,
        &["hold", "disallow"],
        &[],
        "Let a sender through no longer.",
    ),
    with(list("/liaisons", "listLiaisons", Area::Liaisons, &["liaison", "list"], "id", "The register of liaison statements."), FILTER),
    act(
        "POST",
        "/liaisons",
        "submitLiaison",
        Area::Liaisons,
        &["liaison", "submit"],
        SUBMIT,
        "Take a statement as if the secretariat had mailed it.",
    ),
    with(read("/liaisons/export", "exportLiaisons", Area::Liaisons, &["liaison", "export"], "The register as a whole."), EXPORT),
    read("/liaisons/{id}", "showLiaison", Area::Liaisons, &["liaison", "show"], "One statement with its problems and what happened to it."),
    act("POST", "/liaisons/{id}/circulate", "circulateLiaison", Area::Liaisons, &["liaison", "circulate"], &[], "Send it now."),
    act(
        "POST",
        "/liaisons/{id}/withdraw",
        "withdrawLiaison",
        Area::Liaisons,
        &["liaison", "withdraw"],
        &[option("reason", Shape::Text, "--reason", "what readers are told")],
        "Take it back.",
    ),
    act(
        "POST",
        "/liaisons/{id}/answer",
        "answerLiaison",
        Area::Liaisons,
        &["liaison", "answer"],
        &[needed("with", Shape::Text, "--with", "the statement that answers it")],
        "Note that another statement answers it.",
    ),
    act("POST", "/liaisons/{id}/close", "closeLiaison", Area::Liaisons, &["liaison", "close"], &[], "Nothing more is expected."),
    with(
        list("/meetings", "listMeetings", Area::Meetings, &["meeting", "list"], "id", "All meetings."),
        &[option("group", Shape::Text, "--group", "only those of this group")],
    ),
    act("POST", "/meetings", "applyMeetings", Area::Meetings, &["meeting", "apply"], TOML, "Add and change meetings as a TOML file says."),
    read("/meetings/{id}", "showMeeting", Area::Meetings, &["meeting", "show"], "One meeting."),
    read("/meetings/{id}/plan", "planMeeting", Area::Meetings, &["meeting", "plan"], "Every notice with its time, state and reason."),
    read("/meetings/{id}/ics", "icsMeeting", Area::Meetings, &["meeting", "ics"], "The calendar object."),
    act("POST", "/meetings/{id}/cancel", "cancelMeeting", Area::Meetings, &["meeting", "cancel"], &[], "Cancel a meeting."),
    act("POST", "/meetings/{id}/postpone", "postponeMeeting", Area::Meetings, &["meeting", "postpone"], &[], "Put a meeting off."),
    act(
        "POST",
        "/meetings/{id}/withdraw",
        "withdrawMeeting",
        Area::Meetings,
        &["meeting", "withdraw"],
        &[needed("group", Shape::Text, "--group", "not the leading one")],
        "Take one group out of a joint meeting.",
    ),
    act(
        "POST",
        "/meetings/{id}/report",
        "reportMeeting",
        Area::Meetings,
        &["meeting", "report"],
        &[
            needed("reference", Shape::Text, "--reference", "such as SG12RG-AMR-R1"),
            option("file", Shape::File, "--file", "the report itself"),
            option("url", Shape::Text, "--url", "where it is to be read"),
            option("attendance", Shape::Number, "--attendance", "how many took part"),
        ],
        "Add the report of a meeting; it goes to its groups and their parents.",
    ),
    read("/queue", "showQueue", Area::Queue, &["queue", "list"], "How many copies are in each state, and the posts that are open."),
    act(
        "POST",
        "/queue/retry",
        "retryQueue",
        Area::Queue,
        &["queue", "retry"],
        &[field("id", Shape::Text, Goes::Last, false, "only this post")],
        "Try now what waits.",
    ),
    act("POST", "/queue/pause", "pauseQueue", Area::Queue, &["queue", "pause"], &[], "Hand nothing more to the relay."),
    act("POST", "/queue/resume", "resumeQueue", Area::Queue, &["queue", "resume"], &[], "Go on."),
    act("POST", "/queue/{id}/drop", "dropQueue", Area::Queue, &["queue", "drop"], &[], "Give up the open copies of a post."),
    with(
        read("/explain", "explain", Area::Explain, &["explain"], "Why an address did, did not or will get a message."),
        &[
            last("message_id", Shape::Text, "with or without angle brackets"),
            field("address", Shape::Text, Goes::Last, false, "only for this address"),
        ],
    ),
    with(
        read("/groups/{code}/archive", "searchArchive", Area::Archive, &["archive", "search"], "Search the archive of a group."),
        &[
            last("q", Shape::Text, "what to look for"),
            option("limit", Shape::Number, "--limit", "how many are shown"),
            option("offset", Shape::Number, "--offset", "how many of the best are passed over"),
        ],
    ),
    with(
        read("/bounces", "listBounces", Area::Bounces, &["bounce", "list"], "Members whose mail came back, the worst first."),
        &[field("group", Shape::Text, Goes::Last, false, "only of this group")],
    ),
    act(
        "POST",
        "/bounces/{address}/reset",
        "resetBounces",
        Area::Bounces,
        &["bounce", "reset"],
        &[],
        "Forget the scores of an address and bring its subscriptions back.",
    ),
    act("POST", "/study-periods", "beginStudyPeriod", Area::Groups, &["group", "new-period"], PERIOD, "Begin a study period."),
    act("POST", "/groups/{code}/rules", "applyRules", Area::Members, &["group", "rules"], RULES, "Carry out a group's membership rules."),
    read("/groups/{code}/members/export", "exportMembers", Area::Members, &["member", "export"], "All subscribers of a group at once."),
    at_once(act(
        "POST",
        "/groups/{code}/members/{address}/feed",
        "feedMember",
        Area::Archive,
        &["archive", "feed"],
        &[RENEW],
        "The address of a subscriber's private feed of the archive.",
    )),
    act(
        "POST",
        "/groups/{code}/members/{address}/statements",
        "setStatements",
        Area::Members,
        &["liaison", "digest"],
        &[
            option("off", Shape::Switch, "--off", "each statement by itself again"),
            option("at_once", Shape::Text, "--at-once", "purposes and Questions that still come at once"),
            option("shown", Shape::Texts, "--shown", "of those in the digest only these purposes"),
        ],
        "How a subscriber takes the statements of a group.",
    ),
    act(
        "POST",
        "/accounts/{address}/password",
        "setPassword",
        Area::Accounts,
        &["account", "password"],
        &[
            option("generate", Shape::Switch, "--generate", "make a random one and show it, this once"),
            option("clear", Shape::Switch, "--clear", "take it away"),
            field("password", Shape::File, Goes::Input, false, "the password, where neither is set"),
        ],
        "Set the password with which a person sends mail.",
    ),
    at_once(act(
        "POST",
        "/accounts/{address}/calendar",
        "calendarOfAccount",
        Area::Meetings,
        &["meeting", "feed"],
        &[RENEW],
        "The address of a person's private calendar.",
    )),
    act(
        "POST",
        "/directory/sync",
        "syncDirectory",
        Area::Accounts,
        &["directory", "sync"],
        &[
            option("force", Shape::Switch, "--force", "let it remove more than 10 %"),
            option("full", Shape::Switch, "--full", "read everybody anew"),
        ],
        "Read the LDAP server and let the accounts follow.",
    ),
    act(
        "POST",
        "/liaisons/{id}/correct",
        "correctLiaison",
        Area::Liaisons,
        &["liaison", "correct"],
        &[last("lines", Shape::File, "lines such as `Deadline: 22 January 2027`")],
        "Correct single fields before it goes out.",
    ),
    act(
        "POST",
        "/liaisons/{id}/acknowledge",
        "acknowledgeLiaison",
        Area::Liaisons,
        &["liaison", "acknowledge"],
        &[option("by", Shape::Text, "--by", "the body, as the statement names it")],
        "Note that a body has it.",
    ),
    act(
        "POST",
        "/liaisons/{id}/take",
        "takeLiaison",
        Area::Liaisons,
        &["liaison", "take"],
        &[needed("note", Shape::Text, "--note", "what was done, and by whom")],
        "Note that what it asks for was done; its reminders stop.",
    ),
    act(
        "POST",
        "/liaisons/{id}/reassign",
        "reassignLiaison",
        Area::Liaisons,
        &["liaison", "reassign"],
        &[needed("to", Shape::Text, "--to", "an address")],
        "Let somebody else hold the action.",
    ),
    act(
        "POST",
        "/liaisons/{id}/resend",
        "resendLiaison",
        Area::Liaisons,
        &["liaison", "resend"],
        &[last("address", Shape::Text, "address of one of its readers")],
        "Send it again to one of its readers.",
    ),
    act(
        "POST",
        "/meetings/{id}/letter",
        "addLetter",
        Area::Meetings,
        &["meeting", "letter"],
        &[
            option("reference", Shape::Text, "--reference", "needed the first time"),
            option("file", Shape::File, "--file", "the letter itself"),
        ],
        "Add the letter that convenes a meeting.",
    ),
    act(
        "POST",
        "/groups/{code}/archive/import",
        "importArchive",
        Area::Archive,
        &["archive", "import"],
        &[last("mbox", Shape::File, "the mails as an mbox file")],
        "Take mails into the archive; nobody gets them.",
    ),
    read(
        "/groups/{code}/archive/verify",
        "verifyArchive",
        Area::Archive,
        &["archive", "verify"],
        "Compare the archive with its sealed manifests.",
    ),
    at_once(act(
        "POST",
        "/groups/{code}/archive/seal",
        "sealArchive",
        Area::Archive,
        &["archive", "seal"],
        &[],
        "Seal the months that are over.",
    )),
    at_once(act("POST", "/archive/rebuild", "rebuildArchive", Area::Admin, &["archive", "rebuild"], &[], "Make the search index again.")),
    read("/keys", "listKeys", Area::Admin, &["key", "list"], "Since when there are which keys of tokens."),
    act("POST", "/keys/rotate", "rotateKeys", Area::Admin, &["key", "rotate"], &[], "Make a new key for tokens from now on."),
    act("POST", "/keys/forget", "forgetKeys", Area::Admin, &["key", "forget"], &[], "Read tokens of earlier keys no more."),
    list("/tokens", "listTokens", Area::Admin, &["token", "list"], "name", "Tokens without their secrets."),
    act(
        "POST",
        "/tokens",
        "createToken",
        Area::Admin,
        &["token", "create"],
        &[
            needed("name", Shape::Text, "--name", "what it is called"),
            needed("scope", Shape::Texts, "--scope", "what it may do"),
            option("expires", Shape::Text, "--expires", "its last day"),
        ],
        "Make a token; it is shown once.",
    ),
    act("DELETE", "/tokens/{name}", "revokeToken", Area::Admin, &["token", "revoke"], &[], "End a token at once."),
    with(
        read("/audit", "audit", Area::Admin, &["audit"], "Who did what, newest first."),
        &[
            option("group", Shape::Text, "--group", "only acts in this group"),
            option("limit", Shape::Number, "--limit", "how many entries at most"),
        ],
    ),
    list("/webhooks", "listWebhooks", Area::Admin, &["webhook", "list"], "name", "Programs that are told what happens."),
    act(
        "POST",
        "/webhooks",
        "addWebhook",
        Area::Admin,
        &["webhook", "add"],
        &[
            last("name", Shape::Text, "what it is called"),
            last("url", Shape::Text, "where it listens"),
            option("events", Shape::Texts, "--events", "only these events, such as `post.accepted`"),
            option("groups", Shape::Texts, "--groups", "only what happens in these groups"),
        ],
        "Tell a program what happens from now on; the secret is shown once.",
    ),
    act("DELETE", "/webhooks/{name}", "removeWebhook", Area::Admin, &["webhook", "remove"], &[], "Tell the program nothing more."),
    act("POST", "/webhooks/{name}/test", "testWebhook", Area::Admin, &["webhook", "test"], &[], "Send an event of type `test` now."),
    either(
        act(
            "POST",
            "/webhooks/{name}/replay",
            "replayWebhook",
            Area::Admin,
            &["webhook", "replay"],
            &[
                option("since", Shape::Text, "--since", "from this time on"),
                option("after", Shape::Text, "--after", "instead: behind this event"),
            ],
            "Tell the program again what happened; since a time, or behind an event: one of the two is needed.",
        ),
        &["since", "after"],
    ),
    act(
        "POST",
        "/webhooks/{name}/enable",
        "enableWebhook",
        Area::Admin,
        &["webhook", "enable"],
        &[],
        "Go on with a webhook that failed for too long.",
    ),
    with(
        read("/webhooks/events", "listEvents", Area::Admin, &["webhook", "events"], "The latest events that can be replayed."),
        &[option("since", Shape::Text, "--since", "from this time on"), option("limit", Shape::Number, "--limit", "how many at most")],
    ),
    read("/check", "check", Area::Admin, &["check"], "Configuration, templates, store, relay and clock, with remedies."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_operations_share_a_name_or_an_address() {
        let names: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
        let addresses: BTreeSet<_> = OPERATIONS.iter().map(|operation| (operation.method, operation.path)).collect();
        assert_eq!((names.len(), addresses.len()), (OPERATIONS.len(), OPERATIONS.len()));
    }

    #[test]
    fn only_reading_is_done_by_get() {
        for operation in OPERATIONS {
            assert_eq!(operation.writes, operation.method != "GET", "{}", operation.id);
        }
    }
}
