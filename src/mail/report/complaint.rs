//! Feedback reports: "this is spam" (RFC 5965), with the forms of those who do not follow it.

use mail_parser::{Message, PartType};

use super::{ReportedRecipient, content_type, fields, line, original, original_field, part_text};
use crate::domain::bounce::BounceClass;

/// Field of an included message in which Microsoft's programme names the person who complained.
const JUNK_MAIL_REPORTING: &str = "x-hmxmroriginalrecipient";

/// Who complained, if the message is a feedback report. A report of a failed authentication (RFC 6591) complains of nobody's
/// mail and comes as [`BounceClass::Policy`]; one that takes a complaint back (`not-spam`) names nobody.
pub(super) fn read(parsed: &Message<'_>) -> Option<Vec<ReportedRecipient>> {
    if let Some(part) = parsed.parts.iter().find(|part| content_type(part) == "message/feedback-report") {
        let text = part_text(part);
        let fields = fields(&text.replace("\n\n", "\n"));
        let all = |name: &str| -> Vec<&str> { fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect() };
        let kind = all("feedback-type").first().map_or("abuse".to_owned(), |kind| kind.to_lowercase());
        let class = match kind.split([' ', ';']).next().unwrap_or_default() {
            "not-spam" => return Some(Vec::new()),
            "auth-failure" | "dmarc" => BounceClass::Policy,
            _ => BounceClass::Complaint,
        };
        let mut addresses: Vec<String> = ["original-rcpt-to", "x-original-rcpt-to", "removal-recipient"]
            .iter()
            .flat_map(|name| all(name))
            .map(bare)
            .filter(|address| address.contains('@'))
            .collect();
        addresses.dedup();
        if addresses.is_empty() {
            addresses.push(complainer(parsed).unwrap_or_default());
        }
        return Some(addresses.into_iter().take(super::RECIPIENTS).map(|address| recipient(address, class, &kind)).collect());
    }
    let named = original(parsed).and_then(|original| original_field(&original, JUNK_MAIL_REPORTING))?;
    Some(vec![recipient(bare(&named), BounceClass::Complaint, "abuse")])
}

fn recipient(address: String, class: BounceClass, kind: &str) -> ReportedRecipient {
    ReportedRecipient { address, class, status: String::new(), diagnostic: line(kind) }
}

fn bare(value: &str) -> String {
    let value = value.rsplit_once(';').map_or(value, |(_, address)| address);
    let value = value.rsplit_once('<').map_or(value, |(_, address)| address);
    line(value.split_once('>').map_or(value, |(address, _)| address).trim())
}

/// The report does not say who complained: the To of the message that it includes.
fn complainer(parsed: &Message<'_>) -> Option<String> {
    let included = parsed.parts.iter().find_map(|part| match &part.body {
        PartType::Message(inner) => inner.to().and_then(|to| to.first()).and_then(|to| to.address()).map(str::to_owned),
        _ => None,
    });
    let to = included.or_else(|| original(parsed).and_then(|original| original_field(&original, "to")).map(|to| bare(&to)))?;
    Some(line(&to)).filter(|to| to.contains('@'))
}
