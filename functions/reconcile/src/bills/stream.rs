//! A bill's file, in one pass: hashed, unpacked, and stored on the way.

use bytes::Bytes;
use stores::evidence::{EvidenceBytes, EvidenceUpload};
use wechat_client::bill_file::{BillBytes, BillFileError, Unzip, UnzipError};

use crate::error::{BrokenBill, DayError};

/// The source of a bill.
pub(super) enum BillSource {
    /// From WeChat Pay.
    Wechat(BillBytes),
    /// From our own evidence.
    Evidence(EvidenceBytes),
}

impl BillSource {
    /// The next bytes of the file; `None` at its end.
    async fn chunk(&mut self, bill: &'static str) -> Result<Option<Bytes>, DayError> {
        match self {
            Self::Wechat(bytes) => bytes.chunk().await.map_err(|source| of_file(bill, source)),
            Self::Evidence(bytes) => Ok(bytes.chunk().await?),
        }
    }
}

/// A bill that is about to be read.
pub(super) struct BillStream {
    pub(super) name: &'static str,
    pub(super) source: BillSource,
    /// Where it is stored while it is streamed; `None` if it is stored already.
    pub(super) keeping: Option<EvidenceUpload>,
    pub(super) sha1: String,
    pub(super) kept_as: String,
}

impl BillStream {
    /// Reads the file to its end, stores it, and yields its text in pieces.
    pub(super) async fn pass(mut self, mut each: impl FnMut(&[u8])) -> Result<(), DayError> {
        let mut unzip = Unzip::new();
        let read = self.stream(&mut unzip, &mut each).await;
        let whole = match read.map(|()| unzip.finish()) {
            Ok(Ok(found)) if found.is(&self.sha1) => Ok(()),
            Ok(Ok(found)) => Err(BrokenBill::Hash {
                bill: self.name,
                found: found.as_str().to_owned(),
                expected: self.sha1.clone(),
            }
            .into()),
            Ok(Err(source)) => Err(of_gzip(self.name, source)),
            Err(error) => Err(error),
        };
        match (whole, self.keeping) {
            (Ok(()), Some(keeping)) => {
                keeping.keep().await?;
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(error), Some(keeping)) => {
                keeping.give_up().await;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn stream(
        &mut self,
        unzip: &mut Unzip,
        each: &mut impl FnMut(&[u8]),
    ) -> Result<(), DayError> {
        let name = self.name;
        while let Some(chunk) = self.source.chunk(name).await? {
            if let Some(keeping) = &mut self.keeping {
                keeping.write(&chunk).await?;
            }
            let mut all = |text: &[u8]| -> Result<(), UnzipError> {
                each(text);
                Ok(())
            };
            unzip
                .feed(&chunk, &mut all)
                .map_err(|source| of_gzip(name, source))?;
        }
        Ok(())
    }
}

/// A host that does not answer passes; a file that is not one does not.
pub(super) fn of_file(bill: &'static str, source: BillFileError) -> DayError {
    if source.is_transient() {
        DayError::Passing(source.into())
    } else {
        BrokenBill::File { bill, source }.into()
    }
}

fn of_gzip(bill: &'static str, source: UnzipError) -> DayError {
    BrokenBill::Gzip { bill, source }.into()
}
