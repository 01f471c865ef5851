//! What a token of some groups reads of answers that are about many: held posts, statements, meetings, explanations.
//!
//! Each names its groups in the JSON of the command line, in `group` (several with commas) or `groups`.

use serde_json::Value;

use crate::domain::group::GroupCode;
use crate::service::token::Area;

/// Do answers of this area name their groups?
pub(super) fn applies(area: Area) -> bool {
    matches!(area, Area::Holds | Area::Liaisons | Area::Meetings | Area::Explain)
}

/// The part of an answer that is about these groups; `None` when it is one thing and about others.
pub(super) fn to(mut json: Value, own: &[GroupCode]) -> Option<Value> {
    match &mut json {
        Value::Array(items) => items.retain(|item| is_of(item, own)),
        Value::Object(members) => {
            if let Some(Value::Array(items)) = members.get_mut("items") {
                items.retain(|item| is_of(item, own));
                return Some(json);
            }
            // An explanation has a row for each recipient, each by one group.
            if let Some(Value::Array(rows)) = members.get_mut("recipients") {
                rows.retain(|row| is_of(row, own));
            }
            if !is_of(&json, own) {
                return None;
            }
        }
        _ => return None,
    }
    Some(json)
}

fn is_of(item: &Value, own: &[GroupCode]) -> bool {
    let named = |code: &str| own.iter().any(|group| group.as_str() == code);
    let alone = item["group"].as_str().is_some_and(|groups| groups.split(',').any(|code| named(code.trim())));
    alone || item["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).any(named)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_names_one_of_the_groups_is_left() {
        let own: Vec<GroupCode> = vec!["SG12RG-AMR".parse().unwrap()];
        let held = json!({ "items": [{ "id": "1", "group": "SG12RG-AMR" }, { "id": "2", "group": "SG12" }], "next": "2" });
        assert_eq!(to(held, &own).unwrap()["items"].as_array().unwrap().len(), 1);
        let meetings = json!([{ "groups": ["SG12", "SG12RG-AMR"] }, { "groups": ["SG12"] }, {}]);
        assert_eq!(to(meetings, &own).unwrap().as_array().unwrap().len(), 1);
        let told = json!({ "group": "SG12,SG12RG-AMR", "recipients": [{ "group": "SG12" }, { "group": "SG12RG-AMR" }] });
        assert_eq!(to(told, &own).unwrap()["recipients"].as_array().unwrap().len(), 1);
        assert_eq!(to(json!({ "group": "SG12" }), &own), None);
        assert_eq!(to(json!("text"), &own), None);
    }
}
