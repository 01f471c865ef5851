//! How mail systems write their notifications. Each form takes a recipient and a server's words and gives a whole message.

/// What a remote server said.
pub struct Said {
    pub code: &'static str,
    pub status: &'static str,
    pub words: &'static str,
}

impl Said {
    /// `550 5.1.1 words`, as a server says it.
    fn line(&self) -> String {
        [self.code, self.status, self.words].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
    }

    fn status_or_general(&self) -> &'static str {
        match self.status {
            "" if self.code.starts_with('4') => "4.0.0",
            "" => "5.0.0",
            status => status,
        }
    }
}

pub type Form = fn(&str, &Said) -> String;

pub const FORMS: &[(&str, Form)] = &[
    ("postfix", postfix),
    ("exim", exim),
    ("exim with fields", exim_with_fields),
    ("qmail", qmail),
    ("sendmail", sendmail),
    ("sendmail text", sendmail_text),
    ("exchange", exchange),
    ("exchange online", exchange_online),
    ("gmail", gmail),
    ("gmail of old", gmail_of_old),
    ("yahoo", yahoo),
    ("domino", domino),
    ("courier", courier),
    ("zimbra", zimbra),
    ("opensmtpd", opensmtpd),
    ("amazon", amazon),
    ("mail.ru", mail_ru),
    ("gmx", gmx),
    ("icloud", icloud),
    ("groupwise", groupwise),
];

const OURS: &str = "sg12rg-amr-bounces+abcdefghijklmnopqrstuvwxyz@lists.example.org";

fn returned(recipient: &str) -> String {
    format!(
        "Received: from lists.example.org (lists.example.org [192.0.2.10]) by mx.example.net; Tue, 6 Apr 2027 10:00:00 +0000\nFrom: Ben Example <ben@example.org>\nTo: sg12rg-amr@lists.example.org\nSubject: 550 5.1.1 User unknown, a question about spam\nMessage-ID: <q1@example.org>\nX-Enlace-Ref: abc\nDelivered-To: {recipient}\n\nHello, my mailbox is full and virus scanners say 5.7.1.\n"
    )
}

fn report(from: &str, subject: &str, text: &str, fields: &str, original: &str) -> String {
    crlf(&format!(
        "Return-Path: <>\nFrom: {from}\nTo: <{OURS}>\nSubject: {subject}\nDate: Tue, 6 Apr 2027 10:00:05 +0000\nMessage-ID: <b1@mx.example.net>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"=_b/1\"\n\nThis is a MIME-encapsulated message.\n\n--=_b/1\nContent-Type: text/plain; charset=us-ascii\n\n{text}\n--=_b/1\nContent-Type: message/delivery-status\n\n{fields}\n--=_b/1\nContent-Type: message/rfc822\n\n{original}\n--=_b/1--\n"
    ))
}

fn plain(from: &str, subject: &str, more: &str, text: &str) -> String {
    crlf(&format!(
        "Return-Path: <>\nFrom: {from}\nTo: <{OURS}>\nSubject: {subject}\nDate: Tue, 6 Apr 2027 10:00:05 +0000\nMessage-ID: <b2@mx.example.net>\n{more}\n{text}"
    ))
}

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn postfix(to: &str, said: &Said) -> String {
    let line = said.line();
    let text = format!(
        "This is the mail system at host mx.example.net.\n\nI'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients. It's attached below.\n\nFor further assistance, please send mail to postmaster.\n\n<{to}>: host mx.provider.example[203.0.113.5] said: {line} (in reply to RCPT TO command)\n"
    );
    let fields = format!(
        "Reporting-MTA: dns; mx.example.net\nX-Postfix-Queue-ID: 4Kx1\nX-Postfix-Sender: rfc822; {OURS}\nArrival-Date: Tue,  6 Apr 2027 10:00:00 +0000 (UTC)\n\nFinal-Recipient: rfc822; {to}\nOriginal-Recipient: rfc822;{to}\nAction: failed\nStatus: {}\nRemote-MTA: dns; mx.provider.example\nDiagnostic-Code: smtp; {line}\n",
        said.status_or_general()
    );
    report("MAILER-DAEMON@mx.example.net (Mail Delivery System)", "Undelivered Mail Returned to Sender", &text, &fields, &returned(to))
}

fn zimbra(to: &str, said: &Said) -> String {
    postfix(to, said).replace("mx.example.net", "zimbra.example.net").replace("Mail Delivery System", "Mail Delivery System at Zimbra")
}

fn exim(to: &str, said: &Said) -> String {
    plain(
        "Mail Delivery System <Mailer-Daemon@mx.example.net>",
        "Mail delivery failed: returning message to sender",
        &format!("X-Failed-Recipients: {to}\nAuto-Submitted: auto-replied\n"),
        &format!(
            "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  {to}\n    SMTP error from remote mail server after RCPT TO:<{to}>:\n    host mx.provider.example [203.0.113.5]: {}\n\n------ This is a copy of the message, including all the headers. ------\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn exim_with_fields(to: &str, said: &Said) -> String {
    let text = format!(
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  {to}\n    host mx.provider.example [203.0.113.5]\n    SMTP error from remote mail server after RCPT TO:<{to}>:\n    {}\n",
        said.line()
    );
    let fields = format!(
        "Reporting-MTA: dns; mx.example.net\n\nAction: failed\nFinal-Recipient: rfc822;{to}\nStatus: 5.0.0\nRemote-MTA: dns; mx.provider.example\nDiagnostic-Code: smtp; {}\n",
        said.line()
    );
    report(
        "Mail Delivery System <Mailer-Daemon@mx.example.net>",
        "Mail delivery failed: returning message to sender",
        &text,
        &fields,
        &returned(to),
    )
}

fn qmail(to: &str, said: &Said) -> String {
    plain(
        "MAILER-DAEMON@mx.example.net",
        "failure notice",
        "",
        &format!(
            "Hi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<{to}>:\n203.0.113.5 does not like recipient.\nRemote host said: {}\nGiving up on 203.0.113.5.\n\n--- Below this line is a copy of the message.\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn sendmail(to: &str, said: &Said) -> String {
    let line = said.line();
    let text = format!(
        "The original message was received at Tue, 6 Apr 2027 10:00:00 GMT\nfrom lists.example.org [192.0.2.10]\n\n   ----- The following addresses had permanent fatal errors -----\n<{to}>\n    (reason: {line})\n\n   ----- Transcript of session follows -----\n... while talking to mx.provider.example.:\n>>> DATA\n<<< {line}\n550 5.1.1 <{to}>... User unknown\n<<< 503 5.0.0 Need RCPT (recipient)\n"
    )
    .replace(&format!("550 5.1.1 <{to}>... User unknown\n"), "");
    let fields = format!(
        "Reporting-MTA: dns; mx.example.net\nReceived-From-MTA: DNS; lists.example.org\nArrival-Date: Tue, 6 Apr 2027 10:00:00 GMT\n\nFinal-Recipient: RFC822; {to}\nAction: failed\nStatus: {}\nRemote-MTA: DNS; mx.provider.example\nDiagnostic-Code: SMTP; {line}\nLast-Attempt-Date: Tue, 6 Apr 2027 10:00:05 GMT\n",
        said.status_or_general()
    );
    report(
        "Mail Delivery Subsystem <MAILER-DAEMON@mx.example.net>",
        "Returned mail: see transcript for details",
        &text,
        &fields,
        &returned(to),
    )
}

fn sendmail_text(to: &str, said: &Said) -> String {
    plain(
        "Mail Delivery Subsystem <MAILER-DAEMON@mx.example.net>",
        "Returned mail: see transcript for details",
        "",
        &format!(
            "The original message was received at Tue, 6 Apr 2027 10:00:00 GMT\nfrom lists.example.org [192.0.2.10]\n\n   ----- The following addresses had permanent fatal errors -----\n<{to}>\n    (reason: {})\n\n   ----- Original message follows -----\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn exchange(to: &str, said: &Said) -> String {
    let text = format!(
        "Delivery has failed to these recipients or groups:\n\n{to}<mailto:{to}>\nYour message was not delivered. The remote server's words are below.\n\nDiagnostic information for administrators:\n\nGenerating server: ex.example.net\n\n{to}\nmx.provider.example\nRemote Server returned '{}'\n\nOriginal message headers:\n\nReceived: from lists.example.org\n",
        said.line()
    );
    let fields = format!(
        "Reporting-MTA: dns;ex.example.net\nReceived-From-MTA: dns;lists.example.org\nArrival-Date: Tue, 6 Apr 2027 10:00:00 +0000\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: {}\nDiagnostic-Code: smtp;{}\nX-Display-Name: {to}\n",
        said.status_or_general(),
        said.line()
    );
    report(
        "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.net>",
        "Undeliverable: a question",
        &text,
        &fields,
        &returned(to),
    )
}

fn exchange_online(to: &str, said: &Said) -> String {
    let fields = format!(
        "Reporting-MTA: dns;AM0PR01MB0001.eurprd01.prod.example.com\nReceived-From-MTA: dns;lists.example.org\nArrival-Date: Tue, 6 Apr 2027 10:00:00 +0000\n\nOriginal-Recipient: rfc822;{to}\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: {}\nDiagnostic-Code: smtp;{} [AM0PR01MB0001.eurprd01.prod.example.com 2027-04-06T10:00:05.000Z 08DB]\nRemote-MTA: dns;mx.provider.example\n",
        said.status_or_general(),
        said.line()
    );
    report(
        "<postmaster@tenant.example.net>",
        "Undeliverable: a question",
        &format!("Your message to {to} couldn't be delivered.\n\nSee the details below.\n"),
        &fields,
        &returned(to),
    )
}

fn gmail(to: &str, said: &Said) -> String {
    let text = format!(
        "** Message not delivered **\n\nYour message wasn't delivered to {to}. See the technical details below.\n\nThe response from the remote server was:\n{}\n",
        said.line()
    );
    let fields = format!(
        "Reporting-MTA: dns; googlemail.com\nReceived-From-MTA: dns; {OURS}\nArrival-Date: Tue, 06 Apr 2027 03:00:00 -0700 (PDT)\nX-Original-Message-ID: <q1@example.org>\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: {}\nRemote-MTA: dns; mx.provider.example. (203.0.113.5, the server for the domain provider.example.)\nDiagnostic-Code: smtp; {}\nLast-Attempt-Date: Tue, 06 Apr 2027 03:00:05 -0700 (PDT)\n",
        said.status_or_general(),
        said.line().replacen(' ', "-", 1)
    );
    report(
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        &text,
        &fields,
        &returned(to),
    )
}

fn gmail_of_old(to: &str, said: &Said) -> String {
    plain(
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        &format!("X-Failed-Recipients: {to}\nContent-Type: text/plain; charset=UTF-8\n"),
        &format!(
            "Delivery to the following recipient failed permanently:\n\n     {to}\n\nTechnical details of permanent failure:\nThe error that the other server returned was:\n{}\n\n----- Original message -----\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn yahoo(to: &str, said: &Said) -> String {
    plain(
        "MAILER-DAEMON@yahoo.example",
        "Failure Notice",
        "",
        &format!(
            "Sorry, we were unable to deliver your message to the following address.\n\n<{to}>:\nRemote host said:\n{}\n [RCPT_TO]\n\n--- Below this line is a copy of the message.\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn domino(to: &str, said: &Said) -> String {
    let fields = format!(
        "Reporting-MTA: dns;domino.example.net\n\nFinal-Recipient: rfc822;{to}\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: X-Notes; {}\n",
        said.line()
    );
    report(
        "Mail Router <Mail_Router@domino.example.net>",
        "DELIVERY FAILURE: see below",
        &format!("Your message\n\n  Subject: a question\n\nwas not delivered to:\n\n  {to}\n\nbecause:\n\n  {}\n", said.line()),
        &fields,
        &returned(to),
    )
}

fn courier(to: &str, said: &Said) -> String {
    let text = format!(
        "This is a delivery status notification from mx.example.net,\nrunning the Courier mail server.\n\nThe original message was received on Tue, 06 Apr 2027 10:00:00 +0000\nfrom lists.example.org\n\n---------------------------------------------------------------------------\n\n                           UNDELIVERABLE MAIL\n\nYour message to the following recipients cannot be delivered:\n\n<{to}>:\n    mx.provider.example [203.0.113.5]:\n<<< {}\n\n---------------------------------------------------------------------------\n",
        said.line()
    );
    let fields = format!(
        "Reporting-MTA: dns; mx.example.net\nArrival-Date: Tue, 06 Apr 2027 10:00:00 +0000\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: {}\nRemote-MTA: dns; mx.provider.example [203.0.113.5]\nDiagnostic-Code: smtp; {}\n",
        said.status_or_general(),
        said.line()
    );
    report("\"Courier mail server at mx.example.net\" <@>", "NOTICE: mail delivery status.", &text, &fields, &returned(to))
        .replace("<@>", "<postmaster@mx.example.net>")
}

fn opensmtpd(to: &str, said: &Said) -> String {
    let text = format!(
        "    Hi!\n\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\n\n    An error has occurred while attempting to deliver a message for\n    the following list of recipients:\n\n{to}: {}\n\n    Below is a copy of the original message:\n",
        said.line()
    );
    let fields = format!(
        "Reporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: {}\nDiagnostic-Code: smtp; {}\n",
        said.status_or_general(),
        said.line()
    );
    report("Mailer Daemon <MAILER-DAEMON@mx.example.net>", "Delivery status notification: error", &text, &fields, &returned(to))
}

fn amazon(to: &str, said: &Said) -> String {
    let fields = format!(
        "Reporting-MTA: dns; a1-1.smtp-out.amazonses.example\n\nAction: failed\nFinal-Recipient: rfc822; {to}\nDiagnostic-Code: smtp; {}\nStatus: {}\n",
        said.line(),
        said.status_or_general()
    );
    report(
        "MAILER-DAEMON@eu-west-1.amazonses.example",
        "Delivery Status Notification (Failure)",
        &format!("An error occurred while trying to deliver the mail to the following recipients:\n{to}\n"),
        &fields,
        &returned(to),
    )
}

fn mail_ru(to: &str, said: &Said) -> String {
    plain(
        "mailer-daemon@corp.mail.example",
        "Mail failure.",
        &format!("X-Failed-Recipients: {to}\nAuto-Submitted: auto-replied\n"),
        &format!(
            "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  {to}\n    {}\n\n------ This is a copy of your message, including all the headers. ------\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn gmx(to: &str, said: &Said) -> String {
    plain(
        "\"GMX Mailer Daemon\" <mailer-daemon@gmx.example>",
        "Mail delivery failed: returning message to sender",
        "",
        &format!(
            "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of\nits recipients. This is a permanent error. The following address(es) failed:\n\n\"{to}\":\nSMTP error from remote server after RCPT command:\nhost: mx.provider.example\n{}\n\n--- The header of the original message is following. ---\n\n{}",
            said.line(),
            returned(to)
        ),
    )
}

fn icloud(to: &str, said: &Said) -> String {
    let text = format!(
        "This report relates to a message you sent with the following header fields:\n\n  Message-id: <q1@example.org>\n  Date: Tue, 06 Apr 2027 10:00:00 +0000\n  From: Ben Example <ben@example.org>\n  To: sg12rg-amr@lists.example.org\n  Subject: a question\n\nYour message cannot be delivered to the following recipients:\n\n  Recipient address: {to}\n  Reason: {}\n",
        said.line()
    );
    let fields = format!(
        "Reporting-MTA: dns;mx.icloud.example (tcp-daemon)\n\nOriginal-recipient: rfc822;{to}\nFinal-recipient: rfc822;{to}\nAction: failed\nStatus: {} ({})\n",
        said.status_or_general(),
        said.words
    );
    report(
        "Internet Mail Delivery <postmaster@mx.icloud.example>",
        "Delivery Notification: Delivery has failed",
        &text,
        &fields,
        &returned(to),
    )
}

fn groupwise(to: &str, said: &Said) -> String {
    plain(
        "System Administrator <postmaster@gw.example.net>",
        "Undeliverable: a question",
        "",
        &format!(
            "Your message\n\n  To:      sg12rg-amr@lists.example.org\n  Subject: a question\n  Sent:    Tue, 6 Apr 2027 10:00:00 +0000\n\ndid not reach the following recipient(s):\n\n{to} on Tue, 6 Apr 2027 10:00:05 +0000\n    {}\n",
            said.line()
        ),
    )
}
