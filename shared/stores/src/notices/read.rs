//! Reading records: one, a page, and how many wait.

use aws_sdk_dynamodb::types::Select;

use super::{
    NextPage, Notice, NoticePage, NoticeStatus, Notices, NoticesError, item, status, unavailable,
};
use crate::attributes::text;

impl Notices {
    /// Notices of one status, from the beginning or from where a page before ended.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn list(
        &self,
        of: NoticeStatus,
        from: Option<NextPage>,
    ) -> Result<NoticePage, NoticesError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("by_status")
            .key_condition_expression("#status = :status")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", status(of))
            .set_exclusive_start_key(from.map(|page| page.0))
            .limit(Self::PAGE)
            .send()
            .await
            .map_err(|error| unavailable("list notices", error))?;
        let ours = self.pk_prefix();
        let notices = page
            .items()
            .iter()
            // The index holds the notices of every merchant that shares the table.
            .filter(|found| item::pk(found).is_some_and(|pk| pk.starts_with(&ours)))
            .map(item::read)
            .collect::<Result<_, _>>()?;
        Ok(NoticePage {
            notices,
            next: page.last_evaluated_key.map(NextPage),
        })
    }

    /// How many notices wait for an operator. DynamoDB counts: none is read into memory. It reads
    /// at most [`Self::COUNTED_PAGES_MAX`] pages of a megabyte, so for very many notices the result
    /// is a lower bound: at least 1 while pages are left, because other merchants' notices may fill
    /// those that were read.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn count_parked(&self) -> Result<u64, NoticesError> {
        let (mut count, mut from) = (0_u64, None);
        for _ in 0..Self::COUNTED_PAGES_MAX {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("by_status")
                .select(Select::Count)
                .key_condition_expression("#status = :status")
                // The index holds the notices of every merchant that shares the table.
                .filter_expression("begins_with(pk, :ours)")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":status", status(NoticeStatus::Parked))
                .expression_attribute_values(":ours", text(self.pk_prefix()))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|error| unavailable("count notices", error))?;
            count = count.saturating_add(u64::try_from(page.count).unwrap_or_default());
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(count);
            }
        }
        Ok(count.max(1))
    }

    /// Reads one notice consistently.
    ///
    /// # Errors
    /// [`NoticesError`].
    pub async fn get(&self, notice_id: &str) -> Result<Option<Notice>, NoticesError> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(notice_id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("read a notice", error))?;
        got.item().map(item::read).transpose()
    }
}
