//! Accounts, groups, subscriptions.

use chrono::NaiveDate;
use enlace::domain::id::AccountId;
use enlace::domain::subscription::SubscriptionState;

use super::Factory;
use crate::samples::{account, address, code, group, reason, subscription};

pub async fn accounts_are_found_by_key_and_by_every_address(factory: &dyn Factory) {
    let store = factory.open().await;
    let ana = account(1, &["ana@example.org", "Ana.Example@ITU.example"]);
    store.put_accounts(vec![ana.clone()]).await.unwrap();
    assert_eq!(store.account(AccountId(1)).await.unwrap(), Some(ana.clone()));
    for text in ["ana@example.org", "ANA@example.org", "ana.example@itu.example"] {
        assert_eq!(store.account_by_address(&address(text)).await.unwrap(), Some(ana.clone()), "{text}");
    }
    assert_eq!(store.account_by_address(&address("an@example.org")).await.unwrap(), None);
    assert_eq!(store.account_count().await.unwrap(), 1);

    let moved = account(1, &["ana@example.net"]);
    store.put_accounts(vec![moved.clone()]).await.unwrap();
    assert_eq!(store.account_by_address(&address("ana@example.org")).await.unwrap(), None);
    assert_eq!(store.account_by_address(&address("ana@example.net")).await.unwrap(), Some(moved));
    assert_eq!(store.account_count().await.unwrap(), 1);

    store.remove_account(AccountId(1)).await.unwrap();
    store.remove_account(AccountId(1)).await.unwrap();
    assert_eq!(store.account(AccountId(1)).await.unwrap(), None);
    assert_eq!(store.account_by_address(&address("ana@example.net")).await.unwrap(), None);
    assert_eq!(store.account_count().await.unwrap(), 0);
}

pub async fn an_address_moves_to_the_account_written_last(factory: &dyn Factory) {
    let store = factory.open().await;
    store.put_accounts(vec![account(1, &["ana@example.org", "info@example.org"])]).await.unwrap();
    store.put_accounts(vec![account(2, &["info@example.org"])]).await.unwrap();
    let owner = store.account_by_address(&address("info@example.org")).await.unwrap().unwrap();
    assert_eq!(owner.id, AccountId(2));
    let ana = store.account(AccountId(1)).await.unwrap().unwrap();
    assert_eq!(ana.addresses, [address("ana@example.org")]);
    // Removing the former owner leaves the address with the new one.
    store.remove_account(AccountId(1)).await.unwrap();
    assert_eq!(store.account_by_address(&address("info@example.org")).await.unwrap().unwrap().id, AccountId(2));
}

pub async fn accounts_come_in_pages_by_key(factory: &dyn Factory) {
    let store = factory.open().await;
    let ids = [9_u64, 2, 70_000, 300, 5, u64::MAX, 0];
    store.put_accounts(ids.iter().map(|id| account(*id, &[&format!("u{id}@example.org")])).collect()).await.unwrap();
    let mut after = None;
    let mut seen = Vec::new();
    loop {
        let page = store.accounts(after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page.iter().map(|account| account.id.0));
    }
    assert_eq!(seen, [0, 2, 5, 9, 300, 70_000, u64::MAX]);
    assert!(store.accounts(None, 0).await.unwrap().is_empty());
}

pub async fn thousands_of_accounts_in_any_order_are_all_found(factory: &dyn Factory) {
    let store = factory.open().await;
    let ids: Vec<u64> = (0..3000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).collect();
    for some in ids.chunks(700) {
        store.put_accounts(some.iter().map(|id| account(*id, &[&format!("u{id}@example.org")])).collect()).await.unwrap();
        store.put_subscriptions(some.iter().map(|id| subscription("SG12RG-AMR", *id)).collect()).await.unwrap();
    }
    for id in ids.iter().step_by(3) {
        store.remove_account(AccountId(*id)).await.unwrap();
    }
    for (at, id) in ids.iter().enumerate() {
        let found = store.account(AccountId(*id)).await.unwrap().map(|account| account.id.0);
        assert_eq!(found, (at % 3 != 0).then_some(*id));
        let found = store.account_by_address(&address(&format!("U{id}@example.org"))).await.unwrap().map(|account| account.id.0);
        assert_eq!(found, (at % 3 != 0).then_some(*id));
    }
    assert_eq!(store.account_count().await.unwrap(), 2000);
    assert_eq!(store.accounts(None, 9999).await.unwrap().len(), 2000);
    assert_eq!(store.members_of_group(&code("SG12RG-AMR"), None, 9999).await.unwrap().len(), 2000);
    assert_eq!(store.subscriptions_of_group(&code("SG12RG-AMR"), None, 9999).await.unwrap().len(), 3000);
}

pub async fn accounts_expiring_come_by_day(factory: &dyn Factory) {
    let store = factory.open().await;
    let day = |day| NaiveDate::from_ymd_opt(2027, 1, day);
    let with = |id, expires| {
        let mut account = account(id, &[&format!("u{id}@example.org")]);
        account.expires = expires;
        account
    };
    store.put_accounts(vec![with(1, day(3)), with(2, day(5)), with(3, None), with(4, day(4)), with(5, day(6))]).await.unwrap();
    store.put_accounts(vec![with(4, day(9))]).await.unwrap();
    let between = async |from: u32, to: u32| {
        let found = store.accounts_expiring(day(from).unwrap(), day(to).unwrap()).await.unwrap();
        found.into_iter().map(|id| id.0).collect::<Vec<_>>()
    };
    assert_eq!(between(3, 5).await, [1, 2]);
    assert_eq!(between(1, 31).await, [1, 2, 5, 4]);
    assert_eq!(between(4, 4).await, Vec::<u64>::new());
    store.remove_account(AccountId(2)).await.unwrap();
    assert_eq!(between(3, 5).await, [1]);
}

pub async fn groups_are_replaced_by_code(factory: &dyn Factory) {
    let store = factory.open().await;
    store.put_groups(vec![group("SG3RG-AFR"), group("SG12RG-AMR")]).await.unwrap();
    let mut changed = group("SG3RG-AFR");
    changed.retired = true;
    store.put_groups(vec![changed.clone()]).await.unwrap();
    assert_eq!(store.groups().await.unwrap(), [group("SG12RG-AMR"), changed]);
}

pub async fn subscriptions_are_found_from_both_sides(factory: &dyn Factory) {
    let store = factory.open().await;
    // One code is the beginning of another.
    let all = [subscription("SG1", 7), subscription("SG12", 7), subscription("SG12", 8), subscription("SG12RG-AMR", 7)];
    store.put_subscriptions(all.to_vec()).await.unwrap();
    assert_eq!(store.subscription(&code("SG12"), AccountId(7)).await.unwrap(), Some(all[1].clone()));
    assert_eq!(store.subscription(&code("SG1"), AccountId(8)).await.unwrap(), None);
    assert_eq!(store.subscriptions_of_group(&code("SG1"), None, 10).await.unwrap(), all[..1]);
    assert_eq!(store.subscriptions_of_group(&code("SG12"), None, 10).await.unwrap(), all[1..3]);
    let of_seven = [all[0].clone(), all[1].clone(), all[3].clone()];
    assert_eq!(store.subscriptions_of_account(AccountId(7)).await.unwrap(), of_seven);
    let mut left = all[1].clone();
    left.state = SubscriptionState::Unsubscribed(reason());
    store.put_subscriptions(vec![left.clone()]).await.unwrap();
    assert_eq!(store.subscription(&code("SG12"), AccountId(7)).await.unwrap(), Some(left));
    store.remove_subscriptions(AccountId(7)).await.unwrap();
    assert!(store.subscriptions_of_account(AccountId(7)).await.unwrap().is_empty());
    assert_eq!(store.subscriptions_of_group(&code("SG12"), None, 10).await.unwrap(), all[2..3]);
}

pub async fn members_come_in_pages_and_leave_out_those_without_account(factory: &dyn Factory) {
    let store = factory.open().await;
    store.put_subscriptions((0..50).map(|id| subscription("SG12", id)).collect()).await.unwrap();
    store.put_accounts((0..50).filter(|id| id % 7 == 0).map(|id| account(id, &[&format!("u{id}@example.org")])).collect()).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.members_of_group(&code("SG12"), after, 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        after = Some(last.account);
        assert!(page.iter().all(|(subscription, account)| subscription.account == account.id));
        seen.extend(page.iter().map(|(subscription, _)| subscription.account.0));
    }
    assert_eq!(seen, [0, 7, 14, 21, 28, 35, 42, 49]);
}

pub async fn members_are_found_by_their_addresses_in_the_order_asked(factory: &dyn Factory) {
    let store = factory.open().await;
    store.put_accounts(vec![account(1, &["a@example.org", "a@second.example"]), account(2, &["b@example.org"])]).await.unwrap();
    store.put_subscriptions(vec![subscription("SG12", 1), subscription("SG13", 2)]).await.unwrap();
    let asked = ["b@example.org", "nobody@example.org", "A@second.EXAMPLE", "a@example.org", "b@example.org"];
    let asked = asked.iter().map(|address| address.parse().unwrap()).collect();
    let found = store.members_by_address(&code("SG12"), asked).await.unwrap();
    let shown: Vec<_> = found.iter().map(|member| member.as_ref().map(|(account, one)| (account.id.0, one.is_some()))).collect();
    assert_eq!(shown, [Some((2, false)), None, Some((1, true)), Some((1, true)), Some((2, false))]);
    assert!(store.members_by_address(&code("SG12"), Vec::new()).await.unwrap().is_empty());
}

pub async fn what_was_written_is_there_after_opening_again(factory: &dyn Factory) {
    let store = factory.open().await;
    store.put_accounts((0..500).map(|id| account(id, &[&format!("u{id}@example.org")])).collect()).await.unwrap();
    store.put_subscriptions((0..500).map(|id| subscription("SG12", id)).collect()).await.unwrap();
    store.close().await.unwrap();
    assert!(store.put_groups(vec![group("SG12")]).await.is_err(), "a closed store takes nothing");
    drop(store);
    let store = factory.open().await;
    assert_eq!(store.account_count().await.unwrap(), 500);
    assert_eq!(store.members_of_group(&code("SG12"), None, 1000).await.unwrap().len(), 500);
    store.put_groups(vec![group("SG12")]).await.unwrap();
    drop(store);
    assert_eq!(factory.open().await.groups().await.unwrap().len(), 1);
}
