//! A corpus of notifications: every form of `forms` with every reason below, and what Enlace makes of them.

use enlace::domain::bounce::{BounceClass, score};
use enlace::mail::report::{self, ReportKind};

use super::forms::{FORMS, Said};

const fn said(code: &'static str, status: &'static str, words: &'static str) -> Said {
    Said { code, status, words }
}

/// What servers of large providers say, and what it means.
const REASONS: &[(BounceClass, Said)] = &[
    (
        BounceClass::AddressDead,
        said(
            "550",
            "5.1.1",
            "The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. gsmtp",
        ),
    ),
    (BounceClass::AddressDead, said("550", "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup")),
    (BounceClass::AddressDead, said("550", "5.4.1", "Recipient address rejected: Access denied. AS(201806281)")),
    (BounceClass::AddressDead, said("550", "5.5.0", "Requested action not taken: mailbox unavailable (S2017062302).")),
    (
        BounceClass::AddressDead,
        said("554", "", "delivery error: dd This user doesn't have a yahoo.example account (ana) [0] - mta1.mail.example"),
    ),
    (BounceClass::AddressDead, said("550", "", "No such user here")),
    (BounceClass::AddressDead, said("550", "5.1.1", "<x>: Recipient address rejected: User unknown in virtual mailbox table")),
    (BounceClass::AddressDead, said("550", "5.2.1", "The email account that you tried to reach is disabled.")),
    (BounceClass::AddressDead, said("553", "5.3.0", "... No such user here")),
    (
        BounceClass::MailboxFull,
        said("452", "4.2.2", "The recipient's inbox is out of storage space. Please direct the recipient to the help pages."),
    ),
    (
        BounceClass::MailboxFull,
        said("554", "5.2.2", "mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException; Failed to process message"),
    ),
    (BounceClass::MailboxFull, said("552", "5.2.2", "<x>: Recipient is over quota")),
    (
        BounceClass::MailboxFull,
        said(
            "552",
            "",
            "1 Requested mail action aborted, mailbox not found or exceeded storage allocation: Mailbox size limit exceeded, over quota",
        ),
    ),
    (
        BounceClass::Policy,
        said(
            "550",
            "5.7.26",
            "Unauthenticated email from example.org is not accepted due to domain's DMARC policy. Please contact the administrator of example.org domain.",
        ),
    ),
    (
        BounceClass::Policy,
        said(
            "550",
            "5.7.1",
            "Service unavailable, Client host [192.0.2.10] blocked using Spamhaus. To request removal from this list see https://www.example.org/query/ip (AS3130)",
        ),
    ),
    (
        BounceClass::Policy,
        said("421", "4.7.0", "[TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints"),
    ),
    (BounceClass::Policy, said("554", "5.7.1", "This message does not pass SPF: example.org does not designate 192.0.2.10")),
    (
        BounceClass::Policy,
        said("550", "5.7.1", "Our system has detected an unusual rate of messages originating from your IP address. 192.0.2.10"),
    ),
    (BounceClass::Policy, said("550", "5.7.1", "Relaying denied")),
    (
        BounceClass::Policy,
        said("550", "", "Reject due to policy restrictions. For explanation visit https://postmaster.gmx.example/c?c=hi"),
    ),
    (
        BounceClass::Policy,
        said(
            "550",
            "5.7.133",
            "RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group",
        ),
    ),
    (BounceClass::Content, said("552", "5.3.4", "Message size exceeds fixed maximum message size")),
    (BounceClass::Content, said("550", "5.7.1", "Message rejected as spam by Content Filtering.")),
    (
        BounceClass::Content,
        said("552", "5.7.0", "This message was blocked because its content presents a potential security issue: a virus was found"),
    ),
    (BounceClass::Transient, said("451", "4.4.1", "Connection timed out while talking to mx.provider.example")),
    (BounceClass::Transient, said("451", "4.3.2", "System not accepting network messages, please try later")),
];

const RECIPIENTS: [&str; 3] = ["ana@provider.example", "maria.jose+itu@mail.gob.example", "o'neil_2@sub.provider.example"];

#[test]
fn of_five_hundred_notifications_in_twenty_forms_the_address_and_the_class_are_right_in_99_of_100() {
    let (mut all, mut wrong, mut punished) = (0, Vec::new(), Vec::new());
    for (number, (class, said)) in REASONS.iter().enumerate() {
        for (form, write) in FORMS {
            let recipient = RECIPIENTS[number % RECIPIENTS.len()];
            let message = write(recipient, said);
            let report = report::read(message.as_bytes());
            all += 1;
            let seen: Vec<_> = report.recipients.iter().map(|r| (r.address.as_str(), r.class)).collect();
            if report.kind != ReportKind::Dsn || seen != [(recipient, *class)] {
                wrong.push(format!("{form}, {class:?} {:?}: {:?} {:?}", said.words, report.kind, report.recipients));
            }
            let counts = report.recipients.iter().any(|recipient| score::weight(recipient.class) > 0.0);
            if counts && matches!(class, BounceClass::Policy | BounceClass::Content) {
                punished.push(format!("{form} {:?}", said.words));
            }
        }
    }
    assert!(all >= 500, "{all}");
    assert!(wrong.len() * 100 <= all, "{} of {all} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(punished.is_empty(), "a policy rejection counts against the member: {punished:?}");
}

#[test]
fn delays_and_receipts_in_every_form_with_fields_are_no_failures() {
    for (form, write) in FORMS {
        let message = write("ana@provider.example", &said("451", "4.4.1", "no answer from host"));
        if !message.contains("Action: failed") {
            continue;
        }
        let delayed = report::read(message.replace("Action: failed", "Action: delayed").as_bytes());
        assert_eq!(delayed.recipients.iter().map(|r| r.class).collect::<Vec<_>>(), [BounceClass::Delay], "{form}");
        let delivered = report::read(message.replace("Action: failed", "Action: delivered").as_bytes());
        assert_eq!((delivered.kind, delivered.recipients.len()), (ReportKind::Dsn, 0), "{form}");
    }
}

#[test]
fn warnings_in_text_are_delays() {
    for text in [
        "   **********************************************\r\n   **      THIS IS A WARNING MESSAGE ONLY      **\r\n   **  YOU DO NOT NEED TO RESEND YOUR MESSAGE  **\r\n   **********************************************\r\n\r\nThe original message was received at Tue, 6 Apr 2027\r\n\r\n   ----- The following addresses had transient non-fatal errors -----\r\n<ana@provider.example>\r\n\r\nDeferred: Connection timed out with mx.provider.example.\r\nWarning: message still undelivered after 4 hours\r\nWill keep trying until message is 5 days old\r\n",
        "This message was created automatically by mail delivery software.\r\nA message that you sent has not yet been delivered to one or more of its\r\nrecipients after more than 24 hours on the queue.\r\n\r\nNo action is required on your part. Delivery attempts will continue for\r\nsome time.\r\n\r\nThe address to which the message has not yet been delivered is:\r\n\r\n  ana@provider.example\r\n    host mx.provider.example: connection refused\r\n",
    ] {
        let message = format!(
            "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.net\r\nTo: x@lists.example.org\r\nSubject: Warning: could not send message for past 4 hours\r\n\r\n{text}"
        );
        let report = report::read(message.as_bytes());
        assert_eq!(report.kind, ReportKind::Dsn);
        assert_eq!(
            report.recipients.iter().map(|r| (r.address.as_str(), r.class)).collect::<Vec<_>>(),
            [("ana@provider.example", BounceClass::Delay)]
        );
    }
}

#[test]
fn a_complaint_names_who_complained() {
    let message = "From: <feedback@provider.example>\r\nTo: <x-bounces@lists.example.org>\r\nSubject: FW: a question\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: TYPE\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\nOriginal-Rcpt-To: <ana@provider.example>\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: ben@example.org\r\nTo: sg12rg-amr@lists.example.org\r\nSubject: a question\r\n\r\nHello\r\n--b--\r\n";
    let read = |kind: &str| report::read(message.replace("TYPE", kind).as_bytes());
    let abuse = read("abuse");
    assert_eq!(abuse.kind, ReportKind::Complaint);
    assert_eq!(
        abuse.recipients.iter().map(|r| (r.address.as_str(), r.class)).collect::<Vec<_>>(),
        [("ana@provider.example", BounceClass::Complaint)]
    );
    assert!(read("not-spam").recipients.is_empty(), "it was taken back");
    assert_eq!(read("auth-failure").recipients[0].class, BounceClass::Policy, "nobody complained");
}

#[test]
fn answers_of_robots_in_many_languages_are_no_failures() {
    for (header, subject) in [
        ("Auto-Submitted: auto-replied\r\n", "Re: a question"),
        ("X-Autoreply: yes\r\n", "a question"),
        ("Precedence: auto_reply\r\n", "I will answer later"),
        ("X-Auto-Response-Suppress: All\r\n", "Automatic reply: a question"),
        ("", "Out of Office: a question"),
        ("", "Réponse automatique : a question"),
        ("", "Respuesta automática: a question"),
        ("", "Автоматический ответ: a question"),
        ("", "自动回复: a question"),
        ("", "رد تلقائي: a question"),
        ("", "Abwesenheitsnotiz: a question"),
        ("", "Please confirm your message to ana (Spam Arrest)"),
        ("", "Re: [boxbe] a question (Verification Request)"),
    ] {
        let text = "I am away until Monday and my mailbox is full. 550 5.1.1 user unknown: ana@provider.example\r\n";
        let message = format!(
            "From: Ana <ana@provider.example>\r\nTo: x@lists.example.org\r\n{header}Subject: {subject}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}"
        );
        let report = report::read(message.as_bytes());
        assert_eq!((report.kind, report.recipients.len()), (ReportKind::AutoReply, 0), "{header} {subject}");
    }
}

#[test]
fn a_hundred_thousand_lines_of_a_hostile_notice_cost_little() {
    let mut message = String::from("From: MAILER-DAEMON@mx.example.net\r\nSubject: failure notice\r\n\r\nfailed\r\n");
    for number in 0..100_000 {
        message.push_str(&format!("<a{number}@provider.example>: 550 5.1.1 user unknown\r\n"));
    }
    let begun = std::time::Instant::now();
    let report = report::read(message.as_bytes());
    assert_eq!(report.recipients.len(), 100, "bounded");
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}
