//! Writing the keys of API clients: for set-up tools. A key is parsed before it is written, so that
//! a wrong file is noticed at once.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use message_signatures::{Algorithm, VerifyingKey};
use payments::model::{
    ids::ClientId,
    permissions::{LimitFen, Permissions, Scopes},
};
use runtime::aws::AwsError;

use super::{
    KeysTable,
    error::KeysError,
    names::{client_context, client_pk, is_keyid},
    permissions as stored,
    write::{not_a_key, updated},
};
use crate::attributes::{Item, number};

const REQUESTS_PER_S: &str = "requests_per_s";

/// What a client's new key may replace.
#[derive(Clone, Copy, Debug)]
enum Replaces {
    /// The key with the same id.
    SameId,
    /// No key.
    Nothing,
}

/// A key that is to be registered.
#[derive(Clone, Copy, Debug)]
pub struct NewClientKey<'a> {
    /// The name by which requests choose it: 1 to 128 visible ASCII characters.
    pub keyid: &'a str,
    /// Whose orders it may touch.
    pub client_id: &'a str,
    /// What it may do.
    pub permissions: &'a Permissions,
}

/// What is to be changed of a client's key. What is `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientKeyChange<'a> {
    pub scopes: Option<&'a Scopes>,
    /// How many requests a second it may send to each function. Without it that is what the
    /// settings say for all.
    pub requests_per_s: Option<NewLimit<u32>>,
    pub order_max: Option<NewLimit<LimitFen>>,
    pub refund_max: Option<NewLimit<LimitFen>>,
}

/// A limit as it is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NewLimit<T> {
    /// This one.
    Of(T),
    /// None of its own.
    Removed,
}

impl<T> NewLimit<T> {
    fn map<U>(self, to: impl FnOnce(T) -> U) -> NewLimit<U> {
        match self {
            Self::Of(limit) => NewLimit::Of(to(limit)),
            Self::Removed => NewLimit::Removed,
        }
    }
}

impl ClientKeyChange<'_> {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        let Self {
            scopes,
            requests_per_s,
            order_max,
            refund_max,
        } = self;
        scopes.is_none() && requests_per_s.is_none() && order_max.is_none() && refund_max.is_none()
    }

    fn written_by(&self, mut update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let fen = |limit: Option<NewLimit<LimitFen>>| limit.map(|it| it.map(LimitFen::get));
        let limits = [
            (
                REQUESTS_PER_S,
                self.requests_per_s.map(|it| it.map(i64::from)),
            ),
            (stored::ORDER_MAX, fen(self.order_max)),
            (stored::REFUND_MAX, fen(self.refund_max)),
        ];
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        if let Some(scopes) = self.scopes {
            set.push(format!("{0} = :{0}", stored::SCOPES));
            let value = stored::scopes(scopes);
            update = update.expression_attribute_values(format!(":{}", stored::SCOPES), value);
        }
        for (name, limit) in limits {
            match limit {
                Some(NewLimit::Of(limit)) => {
                    set.push(format!("{name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), number(limit));
                }
                Some(NewLimit::Removed) => remove.push(name),
                None => {}
            }
        }
        let mut expression = String::new();
        if !set.is_empty() {
            expression.push_str(&format!("SET {} ", set.join(", ")));
        }
        if !remove.is_empty() {
            expression.push_str(&format!("REMOVE {}", remove.join(", ")));
        }
        update.update_expression(expression)
    }
}

impl KeysTable {
    /// Seals and writes a client's shared secret of 32 bytes or more, for `hmac-sha256`, in place
    /// of a key that has this id.
    ///
    /// # Errors
    /// The id or the secret is not usable, KMS does not seal, or DynamoDB does not write.
    pub async fn put_client_hmac(
        &self,
        of: NewClientKey<'_>,
        secret: &[u8],
    ) -> Result<(), KeysError> {
        self.write_client_hmac(of, secret, Replaces::SameId).await
    }

    /// As [`KeysTable::put_client_hmac`], but never in place of another key.
    ///
    /// # Errors
    /// As there; [`KeysError::Changed`] if any client's key has this id.
    pub async fn add_client_hmac(
        &self,
        of: NewClientKey<'_>,
        secret: &[u8],
    ) -> Result<(), KeysError> {
        self.write_client_hmac(of, secret, Replaces::Nothing).await
    }

    async fn write_client_hmac(
        &self,
        of: NewClientKey<'_>,
        secret: &[u8],
        in_place_of: Replaces,
    ) -> Result<(), KeysError> {
        let pk = client_pk(of.keyid);
        VerifyingKey::from_secret(secret)
            .map_err(|source| not_a_key(&pk, "the client's secret", source))?;
        let sealed = self
            .shared
            .vault
            .seal(&pk, &client_context(of.keyid), secret)
            .await?;
        let value = AttributeValue::B(Blob::new(sealed));
        self.put_client(
            of,
            Algorithm::HmacSha256,
            ("sealed_secret", value),
            in_place_of,
        )
        .await
    }

    /// Writes a client's public key, a PEM `PUBLIC KEY`. Never in place of another key.
    ///
    /// # Errors
    /// The id or the key is not usable, DynamoDB does not write, or [`KeysError::Changed`] if any
    /// client's key has this id.
    pub async fn add_client_public(
        &self,
        of: NewClientKey<'_>,
        algorithm: Algorithm,
        pem: &str,
    ) -> Result<(), KeysError> {
        VerifyingKey::from_public_key_pem(algorithm, pem)
            .map_err(|source| not_a_key(&client_pk(of.keyid), "the client's public key", source))?;
        self.put_client(
            of,
            algorithm,
            ("public_key", AttributeValue::S(pem.to_owned())),
            Replaces::Nothing,
        )
        .await
    }

    /// Puts a client's key out of use. Sandboxes that have it forget it within a minute.
    ///
    /// # Errors
    /// [`KeysError::NoItem`] if there is no such key, or DynamoDB does not write.
    pub async fn revoke_client(&self, keyid: &str) -> Result<(), KeysError> {
        let pk = client_pk(keyid);
        let written = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .update_expression(
                "SET #state = :revoked, revoked_at = if_not_exists(revoked_at, :now)",
            )
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(self.shared.clock.now().0))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":revoked", AttributeValue::S("revoked".to_owned()))
            .send()
            .await;
        updated(written, KeysError::NoItem { pk })
    }

    /// Changes what a client's key may do. Sandboxes that have the key go by it within a minute.
    ///
    /// # Errors
    /// [`KeysError::NoItem`] if there is no such key, or DynamoDB does not write.
    pub async fn change_client_key(
        &self,
        keyid: &str,
        change: &ClientKeyChange<'_>,
    ) -> Result<(), KeysError> {
        let pk = client_pk(keyid);
        let update = self
            .shared
            .client
            .update_item()
            .table_name(&self.shared.table)
            .key("pk", AttributeValue::S(pk.clone()))
            .condition_expression("attribute_exists(pk)");
        let written = change.written_by(update).send().await;
        updated(written, KeysError::NoItem { pk })
    }

    async fn put_client(
        &self,
        of: NewClientKey<'_>,
        algorithm: Algorithm,
        (key_attribute, key): (&str, AttributeValue),
        in_place_of: Replaces,
    ) -> Result<(), KeysError> {
        let NewClientKey {
            keyid,
            client_id,
            permissions,
        } = of;
        let pk = client_pk(keyid);
        if !is_keyid(keyid) {
            return Err(KeysError::Damaged {
                pk,
                what: "a key id is 1 to 128 visible ASCII characters",
            });
        }
        ClientId::chosen(client_id)?;
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let mut item = Item::from([
            ("pk".to_owned(), text(&pk)),
            ("client_id".to_owned(), text(client_id)),
            ("algorithm".to_owned(), text(algorithm.name())),
            (key_attribute.to_owned(), key),
            ("state".to_owned(), text("active")),
            ("added_at".to_owned(), number(self.shared.clock.now().0)),
        ]);
        item.extend(stored::attributes(permissions));
        let put = self
            .shared
            .client
            .put_item()
            .table_name(&self.shared.table)
            .set_item(Some(item.clone()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = match in_place_of {
            Replaces::SameId => put,
            Replaces::Nothing => put.condition_expression("attribute_not_exists(pk)"),
        };
        let Err(error) = put.send().await else {
            return Ok(());
        };
        match error.as_service_error() {
            // The first answer may be lost and the SDK asks again: then what is found is what was
            // written. To deny it would let the only copy of a secret in use be thrown away.
            Some(PutItemError::ConditionalCheckFailedException(refused))
                if refused.item() == Some(&item) =>
            {
                Ok(())
            }
            Some(PutItemError::ConditionalCheckFailedException(_)) => {
                Err(KeysError::Changed { pk })
            }
            Some(_) | None => Err(KeysError::Table(AwsError::new("PutItem", error))),
        }
    }
}
