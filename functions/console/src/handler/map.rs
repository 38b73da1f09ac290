//! The service map: the question to CloudWatch -> its pages of answers -> a page.

use flows::problem::ErrorChain;
use lambda_http::http::{Response, StatusCode};
use runtime::aws::AwsError;
use service_map::{
    answers::{Answers, UnreadableAnswer},
    map::ServiceMap,
    question::{OPERATION, Question},
};
use tracing::warn;

use super::Request;
use crate::{pages, text::map::NoMap};

/// As many pages are read. The whole answer has a thirtieth of the values that one page takes; a
/// second one comes where CloudWatch was slow.
const PAGES_MAX: usize = 3;

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
enum MapError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableAnswer),
}

impl Request<'_> {
    /// The last hour. Where CloudWatch does not answer, a page that says why: a picture's failure
    /// is none of the console's.
    pub(super) async fn map(&self) -> Response<String> {
        let question = Question::at(self.app.clock.now().0);
        let page = match self.measured(&question).await {
            Ok(answers) => {
                let map = ServiceMap::of(question.hour(), &answers);
                pages::map(self.viewer, &map)
            }
            Err(error) => {
                warn!(error = %ErrorChain(&error), "the service map is not shown");
                let why = match &error {
                    MapError::Aws(error) => NoMap::of(error),
                    MapError::Unreadable(_) => NoMap::unreadable(),
                };
                pages::no_map(self.viewer, &why)
            }
        };
        pages::answer(StatusCode::OK, page)
    }

    async fn measured(&self, question: &Question) -> Result<Answers, MapError> {
        let mut answers = Answers::to(question);
        let mut next_token = None;
        for _ in 0..PAGES_MAX {
            let body = question.body(&self.app.names, next_token.as_deref());
            let page = self.app.cloudwatch.ask(OPERATION, &body).await?;
            next_token = answers.take(&page)?;
            if next_token.is_none() {
                break;
            }
        }
        Ok(answers)
    }
}
