//! Announcements that are a meeting in a form that is read: judged while the session waits, told to their author.

use serde_json::json;

use super::judge::{Address, Passed};
use super::{Incoming, Refusal};
use crate::domain::group::Group;
use crate::domain::id::PostId;
use crate::domain::proof::SenderProof;
use crate::mail::token::Purpose;
use crate::service::meeting::mailed::{self, Wanted};
use crate::service::robot::{self, Allowance, RobotMail};

impl Incoming {
    /// The meeting that a mail to the announcement addresses of `groups` wants, if it is one in a form that is read.
    ///
    /// What is wrong with it refuses the mail, so that its author has the reason at once and nothing changes.
    pub(super) async fn meeting(&self, groups: &[&Group], passed: &Passed<'_>) -> Result<Option<Wanted>, Refusal> {
        if passed.address != Address::Announce {
            return Ok(None);
        }
        let Some(convening) = self.read("meeting", |bytes| mailed::read(bytes)).await? else { return Ok(None) };
        Ok(Some(mailed::wanted(&self.services, groups, &passed.proof, &convening).await?))
    }

    /// What was understood, what is doubtful, and how to stop it. The mail is kept, so a failure here is logged only.
    pub(super) async fn meeting_receipt(&self, group: &Group, proof: &SenderProof, id: PostId, wanted: &Wanted) {
        if let Err(refusal) = self.write_meeting_receipt(group, proof, id, wanted).await {
            tracing::error!(group.code = %group.code, post = %id, ?refusal, "Could not send the receipt of a meeting");
        }
    }

    async fn write_meeting_receipt(&self, group: &Group, proof: &SenderProof, id: PostId, wanted: &Wanted) -> Result<(), Refusal> {
        let author = proof.author();
        let account = self.services.store.account_by_address(author).await?;
        let language = robot::language_for(&self.services, account.as_ref(), group);
        let token = self.services.keys.address_token(Purpose::Stop, id.0);
        let kind = match wanted {
            Wanted::Meeting { is_change: false, .. } => "new",
            Wanted::Meeting { .. } => "change",
            Wanted::Withdraw { .. } => "withdrawal",
        };
        let mail = RobotMail {
            to: author,
            account: account.as_ref(),
            group,
            template: "meeting-receipt",
            context: json!({
                "meeting": mailed::shown(&self.services, wanted, language),
                "kind": kind,
                "status": self.services.texts.word(language, &format!("meeting.{}", wanted.meeting().status.as_str())),
                "warnings": mailed::warnings(&self.services, wanted),
                "minutes": group.grace.as_secs().div_ceil(60),
                "stop_address": format!("{}-moderate+{token}@{}", group.list, self.services.site.domain),
            }),
            reply_to: Some(format!("{}-moderate+{token}", group.list)),
            in_reply_to: self.message.message_id.as_deref(),
            allowance: Allowance::Receipt,
        };
        robot::send(&self.services, mail).await?;
        Ok(())
    }
}
