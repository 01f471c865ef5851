//! What every store must do, case by case.

pub mod batches;
pub mod directory;
pub mod erasure;
pub mod marks;
pub mod model;
pub mod posts;

use std::sync::Arc;

use async_trait::async_trait;
use enlace::store::Store;

/// One set of data that can be opened again and again.
#[async_trait]
pub trait Factory: Send + Sync {
    /// Opens the data; the former store must have been closed or dropped.
    async fn open(&self) -> Arc<dyn Store>;
    /// Another set of data, new and empty.
    fn fresh(&self) -> Box<dyn Factory>;
}

/// Instantiates the suite for a backend: `$make` is an expression that gives a new, empty `Factory`.
#[macro_export]
macro_rules! conformance {
    ($make:expr => $( $room:ident :: { $( $case:ident ),* $(,)? } )*) => {
        $( mod $room {
            $( #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let factory = $make;
                $crate::suite::$room::$case(&factory).await;
            } )*
        } )*
    };
}

/// All cases, once.
#[macro_export]
macro_rules! all_cases {
    ($make:expr) => {
        $crate::conformance! { $make =>
            directory::{
                accounts_are_found_by_key_and_by_every_address,
                an_address_moves_to_the_account_written_last,
                accounts_come_in_pages_by_key,
                thousands_of_accounts_in_any_order_are_all_found,
                accounts_expiring_come_by_day,
                groups_are_replaced_by_code,
                subscriptions_are_found_from_both_sides,
                members_come_in_pages_and_leave_out_those_without_account,
                members_are_found_by_their_addresses_in_the_order_asked,
                what_was_written_is_there_after_opening_again,
            }
            posts::{
                a_body_comes_back_byte_for_byte,
                a_file_in_incoming_is_taken_over,
                a_repeated_post_is_recognised_and_nothing_is_written,
                of_many_callers_with_one_repetition_key_one_is_first,
                posts_are_planned_when_their_time_has_come,
                held_posts_leave_the_list_when_they_are_decided,
                posts_of_a_group_come_newest_first_in_pages,
                a_message_id_finds_all_its_posts_oldest_first,
                a_post_whose_body_is_not_there_is_refused,
                a_post_with_a_long_audience_comes_back_whole,
                keeping_a_post_rings_the_bell,
            }
            batches::{
                a_plan_is_seen_only_when_it_is_finished,
                a_plan_can_be_started_over,
                an_incomplete_plan_is_refused,
                a_plan_in_which_nobody_is_open_is_done,
                a_batch_is_claimed_by_one_worker,
                a_lease_that_ended_is_taken_over,
                the_answer_of_an_ended_holder_is_noted,
                outcomes_are_counted_and_settled,
                deferred_recipients_come_back_at_their_time,
                the_last_batch_makes_the_post_done,
                the_first_and_the_latest_attempts_are_kept,
                a_bounce_amends_a_finished_recipient,
                a_dropped_post_has_nobody_open,
                hastening_makes_waiting_batches_due,
                a_withdrawn_post_is_not_claimed,
                due_batches_come_longest_due_first,
                a_batch_noted_and_never_settled_is_finished_at_the_next_claim,
                the_ledger_is_there_after_opening_again,
                answers_without_place_are_refused,
            }
            marks::{
                of_many_callers_one_is_first,
                old_marks_are_forgotten,
                counters_count_every_caller,
                settings_are_kept,
                a_request_is_taken_once,
                the_audit_trail_comes_newest_first,
                entries_have_optimistic_versions,
                entries_come_in_pages_by_key,
                names_do_not_run_into_each_other,
                w9_no_text_becomes_a_command,
            }
            erasure::{
                a_person_vanishes_from_ledger_and_trail_and_the_counts_stay,
                a_forgotten_plan_keeps_its_counts,
                what_nothing_names_is_swept_and_nothing_else,
                old_counters_and_repetition_keys_are_forgotten,
            }
            model::{
                random_verbs_agree_with_a_simple_model,
            }
        }
    };
}
