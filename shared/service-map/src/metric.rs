//! A metric of CloudWatch's, as far as its name is the same in every stack.

/// One statistic of one metric.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Metric {
    pub namespace: Namespace,
    pub name: &'static str,
    pub dimensions: Vec<(&'static str, Named)>,
    pub statistic: Statistic,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Namespace {
    /// The functions' own metrics (`infra/METRICS.md`): the namespace is the stack's name.
    Stack,
    Lambda,
    ApiGateway,
    Sqs,
    DynamoDb,
    Pipes,
    Events,
}

/// The value of a dimension.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Named {
    Text(&'static str),
    /// The merchant number.
    Mchid,
    /// The id of the stack's HTTP API.
    ApiId,
    /// A resource of the template that is named after the stack: its name behind the stack's.
    Own(&'static str),
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Statistic {
    Sum,
    SampleCount,
    Average,
    Maximum,
    P50,
    P95,
}

/// What the metrics of one stack are named after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackNames {
    pub stack: String,
    pub mchid: String,
    pub api_id: String,
}

impl Statistic {
    /// CloudWatch's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sum => "Sum",
            Self::SampleCount => "SampleCount",
            Self::Average => "Average",
            Self::Maximum => "Maximum",
            Self::P50 => "p50",
            Self::P95 => "p95",
        }
    }
}

impl Namespace {
    pub fn name(self, names: &StackNames) -> &str {
        match self {
            Self::Stack => &names.stack,
            Self::Lambda => "AWS/Lambda",
            Self::ApiGateway => "AWS/ApiGateway",
            Self::Sqs => "AWS/SQS",
            Self::DynamoDb => "AWS/DynamoDB",
            Self::Pipes => "AWS/EventBridge/Pipes",
            Self::Events => "AWS/Events",
        }
    }
}

impl Named {
    pub fn text(self, names: &StackNames) -> String {
        match self {
            Self::Text(text) => text.to_owned(),
            Self::Mchid => names.mchid.clone(),
            Self::ApiId => names.api_id.clone(),
            Self::Own(name) => format!("{}-{name}", names.stack),
        }
    }
}

impl Metric {
    fn new(
        namespace: Namespace,
        name: &'static str,
        dimensions: &[(&'static str, Named)],
        statistic: Statistic,
    ) -> Self {
        Self {
            namespace,
            name,
            dimensions: dimensions.to_vec(),
            statistic,
        }
    }

    /// One of the functions' own, without dimensions.
    pub(crate) fn ours(name: &'static str, statistic: Statistic) -> Self {
        Self::new(Namespace::Stack, name, &[], statistic)
    }

    /// One of the functions' own, of the merchant.
    pub(crate) fn of_merchant(name: &'static str, statistic: Statistic) -> Self {
        let of = [("Mchid", Named::Mchid)];
        Self::new(Namespace::Stack, name, &of, statistic)
    }

    /// One of the functions' own, by these dimensions.
    pub(crate) fn ours_by(
        name: &'static str,
        by: &[(&'static str, &'static str)],
        statistic: Statistic,
    ) -> Self {
        let by: Vec<_> = by
            .iter()
            .map(|(field, value)| (*field, Named::Text(value)))
            .collect();
        Self::new(Namespace::Stack, name, &by, statistic)
    }

    /// Lambda's, of a function.
    pub(crate) fn lambda(name: &'static str, function: &'static str, statistic: Statistic) -> Self {
        let of = [("FunctionName", Named::Own(function))];
        Self::new(Namespace::Lambda, name, &of, statistic)
    }

    /// API Gateway's, of the stack's API.
    pub(crate) fn api(name: &'static str, statistic: Statistic) -> Self {
        let of = [("ApiId", Named::ApiId)];
        Self::new(Namespace::ApiGateway, name, &of, statistic)
    }

    pub(crate) fn queue(name: &'static str, queue: &'static str, statistic: Statistic) -> Self {
        let of = [("QueueName", Named::Own(queue))];
        Self::new(Namespace::Sqs, name, &of, statistic)
    }

    pub(crate) fn table(name: &'static str, statistic: Statistic) -> Self {
        let of = [("TableName", Named::Own("orders"))];
        Self::new(Namespace::DynamoDb, name, &of, statistic)
    }

    pub(crate) fn table_call(
        name: &'static str,
        operation: &'static str,
        statistic: Statistic,
    ) -> Self {
        let of = [
            ("TableName", Named::Own("orders")),
            ("Operation", Named::Text(operation)),
        ];
        Self::new(Namespace::DynamoDb, name, &of, statistic)
    }

    pub(crate) fn pipe(name: &'static str, statistic: Statistic) -> Self {
        let of = [("PipeName", Named::Own("order-events"))];
        Self::new(Namespace::Pipes, name, &of, statistic)
    }

    /// Of the bus's rule for webhooks.
    pub(crate) fn rule(name: &'static str, statistic: Statistic) -> Self {
        let of = [
            ("EventBusName", Named::Own("orders")),
            ("RuleName", Named::Own("webhooks")),
        ];
        Self::new(Namespace::Events, name, &of, statistic)
    }
}
