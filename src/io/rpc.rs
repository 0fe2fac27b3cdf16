//! One node, asked over HTTP. Every request has a deadline of its own, every failure is of a known kind and
//! carries neither the URL nor anything the URL holds. Reads are asked again a few times; sends never.

use alloy::primitives::Bytes;
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{ErrorPayload, RpcRecv, RpcSend};
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use eyre::{Result, WrapErr, eyre};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How often a read is asked at most, and how long the first pause is; pauses double.
const READ_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(150);

/// Why a node gave no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    #[error("the node at {node} cannot be reached ({why})")]
    Unreachable { node: String, why: String },
    #[error("the node at {node} did not answer {method} within {seconds} s")]
    Timeout { node: String, method: String, seconds: u64 },
    #[error("the node at {node} refused {method}: {message} (code {code})")]
    Refused { node: String, method: String, code: i64, message: String, data: Option<Bytes> },
    #[error("the node at {node} answered {method} with something that is not an answer: {why}")]
    Malformed { node: String, method: String, why: String },
}

impl Fault {
    /// The call ran and the contract refused it, with what it said.
    pub fn revert(&self) -> Option<Bytes> {
        match self {
            Self::Refused { code, message, data, .. }
                if *code == 3 || message.to_lowercase().contains("revert") =>
            {
                Some(data.clone().unwrap_or_default())
            }
            _ => None,
        }
    }

    /// The node does not know the method or this form of it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused { code: -32601 | -32004 | -32602, .. })
    }

    /// Asking again may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Refused { code, message, .. } => {
                // 502 to 504: a gateway whose node is away for the moment.
                matches!(code, 429 | 502..=504)
                    || message.contains("rate")
                    || message.contains("too many requests")
            }
            Self::Malformed { .. } => false,
        }
    }
}

/// A connection to one node.
#[derive(Clone)]
pub struct Rpc {
    client: RpcClient,
    node: String,
    timeout: Duration,
    /// What of the URL no message may repeat: nodes quote it back.
    secrets: Arc<[String]>,
}

impl Rpc {
    /// # Errors
    /// When `url` is not an HTTP URL. Nothing is asked yet.
    pub fn new(url: &str, timeout: Duration) -> Result<Self> {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let url: Url = url.parse().map_err(|_| eyre!("rpc.http is not a URL"))?;
        let node = alias(&url);
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .connect_timeout(timeout)
            .build()
            .map_err(|error| eyre!("cannot set up HTTP: {}", error.without_url()))?;
        let secrets = secrets(&url);
        Ok(Self { client: RpcClient::new_http_with_client(http, url), node, timeout, secrets })
    }

    /// Host and port, the only way a node is named.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Asks once.
    ///
    /// # Errors
    /// Any `Fault`.
    pub async fn ask_once<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, Fault> {
        let request = self.client.request::<P, R>(method, params);
        match tokio::time::timeout(self.timeout, request).await {
            Ok(answer) => answer.map_err(|error| self.fault(method, error)),
            Err(_) => Err(self.late(method)),
        }
    }

    /// Asks a question that may be asked again: passing faults are waited out a few times.
    ///
    /// # Errors
    /// Any `Fault`, the last one seen.
    pub async fn ask<P: RpcSend, R: RpcRecv>(&self, method: &'static str, params: P) -> Result<R, Fault> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..READ_ATTEMPTS {
            match self.ask_once(method, params.clone()).await {
                Err(fault) if fault.is_passing() => tokio::time::sleep(pause).await,
                other => return other,
            }
            pause = pause.saturating_mul(2);
        }
        self.ask_once(method, params).await
    }

    /// Asks many questions of one kind in one round trip; answers come in the order of the questions. Passing
    /// faults are waited out a few times, of the whole and of single questions.
    ///
    /// # Errors
    /// The outer one when the round trip failed, the inner ones per question.
    pub async fn ask_batch(
        &self,
        method: &'static str,
        questions: &[Value],
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let mut answers: Vec<Option<Result<Value, Fault>>> = vec![None; questions.len()];
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=READ_ATTEMPTS {
            let open = (0..questions.len()).filter(|index| match answers.get(*index) {
                Some(Some(Err(fault))) => fault.is_passing(),
                Some(None) => true,
                _ => false,
            });
            let open = open.collect::<Vec<_>>();
            if open.is_empty() {
                break;
            }
            if attempt > 1 {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
            let asked = open.iter().filter_map(|index| questions.get(*index).cloned()).collect::<Vec<_>>();
            match self.ask_batch_once(method, &asked).await {
                Ok(found) => {
                    for (index, answer) in open.into_iter().zip(found) {
                        if let Some(slot) = answers.get_mut(index) {
                            *slot = Some(answer);
                        }
                    }
                }
                Err(fault) if fault.is_passing() && attempt < READ_ATTEMPTS => {}
                Err(fault) => return Err(fault),
            }
        }
        let unanswered =
            || Fault::Malformed { node: self.node.clone(), method: method.into(), why: "nothing".into() };
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unanswered()))).collect())
    }

    async fn ask_batch_once(
        &self,
        method: &'static str,
        questions: &[Value],
    ) -> Result<Vec<Result<Value, Fault>>, Fault> {
        let mut batch = self.client.new_batch();
        let mut waiters = Vec::with_capacity(questions.len());
        for question in questions {
            let waiter =
                batch.add_call::<_, Value>(method, question).map_err(|error| self.fault(method, error))?;
            waiters.push(waiter);
        }
        match tokio::time::timeout(self.timeout, batch.send()).await {
            Ok(sent) => sent.map_err(|error| self.fault(method, error))?,
            Err(_) => return Err(self.late(method)),
        }
        let mut answers = Vec::with_capacity(waiters.len());
        for waiter in waiters {
            answers.push(waiter.await.map_err(|error| self.fault(method, error)));
        }
        Ok(answers)
    }

    fn refused(&self, method: String, payload: ErrorPayload) -> Fault {
        let data = payload.data.as_ref().and_then(|raw| bytes_in(raw.get()));
        let message = self.scrub(&payload.message).chars().take(300).collect();
        Fault::Refused { node: self.node.clone(), method, code: payload.code, message, data }
    }

    fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "…"))
    }

    fn late(&self, method: &str) -> Fault {
        Fault::Timeout { node: self.node.clone(), method: method.into(), seconds: self.timeout.as_secs() }
    }

    /// The one place where a transport's error becomes ours: its own text may hold the whole URL.
    fn fault(&self, method: &str, error: TransportError) -> Fault {
        let node = self.node.clone();
        let method = method.to_owned();
        match error {
            RpcError::ErrorResp(payload) => self.refused(method, payload),
            RpcError::DeserError { err, .. } => {
                Fault::Malformed { node, method, why: self.scrub(&err.to_string()) }
            }
            RpcError::NullResp => Fault::Malformed { node, method, why: "nothing".into() },
            RpcError::Transport(TransportErrorKind::HttpError(http)) => Fault::Refused {
                node,
                method,
                code: i64::from(http.status),
                message: "HTTP error".into(),
                data: None,
            },
            RpcError::Transport(TransportErrorKind::Custom(inner)) => {
                match inner.downcast::<reqwest::Error>() {
                    Ok(http) if http.is_timeout() => self.late(&method),
                    Ok(http) => Fault::Unreachable { node, why: root(&http.without_url()) },
                    Err(_) => Fault::Unreachable { node, why: "transport error".into() },
                }
            }
            _ => Fault::Unreachable { node, why: "transport error".into() },
        }
    }
}

/// Revert data: a hex string, or an object that holds one.
fn bytes_in(raw: &str) -> Option<Bytes> {
    match serde_json::from_str(raw).ok()? {
        Value::String(text) => text.parse().ok(),
        Value::Object(map) => map.get("data").and_then(Value::as_str).and_then(|text| text.parse().ok()),
        _ => None,
    }
}

fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// User, password, every long part of the path and every value of the query. The longest first.
fn secrets(url: &Url) -> Arc<[String]> {
    let path = url.path().split('/').map(str::to_owned);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    let query = query.chain(url.query().map(str::to_owned));
    let others = [url.username(), url.password().unwrap_or_default(), url.fragment().unwrap_or_default()];
    // Shorter parts are words such as `v3` and `mainnet` as often as not.
    let mut all: Vec<String> =
        path.chain(query).chain(others.map(str::to_owned)).filter(|part| part.chars().count() > 7).collect();
    all.sort_by_key(|part| std::cmp::Reverse(part.len()));
    all.into()
}

fn alias(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A fault with what was being done.
pub trait Doing<T> {
    /// # Errors
    /// The fault, told as part of `what`.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> Doing<T> for Result<T, Fault> {
    fn doing(self, what: &str) -> Result<T> {
        self.wrap_err_with(|| what.to_owned())
    }
}
