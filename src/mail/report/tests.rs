use super::*;

const DSN: &str = "From: MAILER-DAEMON@mx.example.net\r\nTo: <x-bounces+t@lists.example.org>\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nI am sorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; ana@example.net\r\nAction: ACTION\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <ana@example.net>:\r\n Recipient address rejected: User unknown\r\n--b--\r\n";

#[test]
fn a_standard_notification_gives_address_class_status_and_words() {
    let report = read(DSN.replace("ACTION", "failed").as_bytes());
    assert_eq!(report.kind, ReportKind::Dsn);
    assert_eq!(report.recipients.len(), 1);
    let ana = report.about("ana@example.net").unwrap();
    assert_eq!((ana.address.as_str(), ana.class, ana.status.as_str()), ("ana@example.net", BounceClass::AddressDead, "5.1.1"));
    assert!(ana.summary().starts_with("address-dead: 550 5.1.1") && ana.summary().contains("User unknown"), "{}", ana.summary());
}

#[test]
fn a_delay_is_no_failure_and_a_receipt_names_nobody() {
    let report = read(DSN.replace("ACTION", "delayed").as_bytes());
    assert_eq!(report.recipients[0].class, BounceClass::Delay);
    assert!(!report.recipients[0].class.is_failure());
    for action in ["delivered", "relayed (to non-DSN-aware mailer)", "expanded"] {
        let report = read(DSN.replace("ACTION", action).replace("5.1.1", "2.0.0").as_bytes());
        assert_eq!((report.kind, report.recipients.len()), (ReportKind::Dsn, 0), "{action}");
    }
}

#[test]
fn vacation_notes_and_letters_are_no_failures() {
    let vacation = "From: a@example.org\r\nSubject: Away\r\nAuto-Submitted: auto-replied\r\n\r\n550 5.1.1 is my room number\r\n";
    assert_eq!(read(vacation.as_bytes()).kind, ReportKind::AutoReply);
    let letter = "From: a@example.org\r\nSubject: Hello\r\n\r\nsection 5.1.1 is wrong\r\n";
    assert_eq!(read(letter.as_bytes()).kind, ReportKind::Other);
}

#[test]
fn a_person_who_passes_a_report_on_reports_nothing() {
    let forwarded = "From: ben@example.org\r\nSubject: Fwd: Undelivered Mail Returned to Sender\r\n\r\nlook:\r\n\r\n<ana@example.net>: 550 5.1.1 User unknown\r\n";
    assert_eq!(read(forwarded.as_bytes()).kind, ReportKind::Other);
    let attached = DSN
        .replace("ACTION", "failed")
        .replace("From: MAILER-DAEMON@mx.example.net", "From: ben@example.org")
        .replace("Subject: ", "Subject: FW: ")
        .replace("multipart/report; report-type=delivery-status;", "multipart/mixed;");
    assert_eq!(read(attached.as_bytes()).kind, ReportKind::Other);
}
