//! A node that misbehaves to order: a small JSON-RPC proxy in front of anvil that keeps a record of every call and
//! plays faults by method. It runs on threads of its own, so a test may block while it serves.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy::primitives::Bytes;
use eyre::{Result, WrapErr, eyre};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// What is done to a call instead of answering it.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A JSON-RPC error.
    Error(i64, &'static str),
    /// This result, whatever the node would say.
    Answer(Value),
    /// No answer, ever.
    Hang,
    /// The connection is closed before the node sees the call.
    Drop,
    /// The node gets the call, its answer is lost.
    SwallowReply,
    /// An answer that is not JSON-RPC.
    Http(u16, &'static str),
    /// The answer comes late.
    Delay(Duration),
    /// `eth_getLogs` over more blocks than this is refused with this code and text.
    LogRange(u64, i64, &'static str),
    /// More parameters than this are refused with this code and text.
    Parameters(usize, i64, &'static str),
}

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub params: Value,
    pub at: Instant,
    /// For a raw transaction: its bytes were in the journal when they arrived here.
    pub journaled: bool,
}

#[derive(Debug)]
struct Rule {
    method: String,
    fault: Fault,
    /// How often it still applies.
    left: u32,
}

#[derive(Debug, Default)]
struct Script {
    upstream: String,
    journal: Option<PathBuf>,
    rules: Vec<Rule>,
    seen: Vec<Call>,
    connections: Vec<AbortHandle>,
    down: bool,
    refuses_sockets: bool,
}

/// The proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    script: Arc<Mutex<Script>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Proxy {
    /// In front of the node at `upstream`, which serves HTTP and WebSocket on one port.
    pub fn before(upstream: &str) -> Result<Self> {
        let script = Script { upstream: upstream.replace("http://", ""), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let shared = script.clone();
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                if lock(&shared).down {
                    continue;
                }
                let served = tokio::spawn(serve(stream, shared.clone()));
                lock(&shared).connections.push(served.abort_handle());
            }
        });
        Ok(Self { port, script, runtime: Some(runtime) })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on every call of `method` (`*`: any) meets `fault`; the rule set last wins.
    pub fn rule(&self, method: &str, fault: Fault) {
        self.rule_for(u32::MAX, method, fault);
    }

    /// As `rule`, for the next `times` calls only.
    pub fn rule_for(&self, times: u32, method: &str, fault: Fault) {
        self.script().rules.insert(0, Rule { method: method.into(), fault, left: times });
    }

    /// All rules are taken back.
    pub fn heal(&self) {
        self.script().rules.clear();
    }

    /// Puts another node behind the same address.
    pub fn set_upstream(&self, upstream: &str) {
        self.script().upstream = upstream.replace("http://", "");
    }

    /// Refuses connections and cuts those there are, or takes them again.
    pub fn set_down(&self, down: bool) {
        self.script().down = down;
        if down {
            self.cut();
        }
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        self.script().connections.drain(..).for_each(|connection| connection.abort());
    }

    /// Calls with a state override are refused, as by nodes that do not know them.
    pub fn refuse_overrides(&self) {
        for method in ["eth_call", "eth_estimateGas"] {
            self.rule(method, Fault::Parameters(2, -32602, "too many arguments, want at most 2"));
        }
    }

    /// WebSockets are refused, or taken again.
    pub fn refuse_sockets(&self, refuse: bool) {
        self.script().refuses_sockets = refuse;
    }

    /// Raw transactions are looked up in this journal as they arrive.
    pub fn watch(&self, journal: PathBuf) {
        self.script().journal = Some(journal);
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        self.script().seen.clear();
    }

    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.script().seen.iter().filter(|call| call.method == method).cloned().collect()
    }

    /// The raw transactions seen, oldest first, each with whether it was in the journal by then.
    pub fn sent(&self) -> Result<Vec<(Bytes, bool)>> {
        let calls = self.calls("eth_sendRawTransaction");
        let raw = |call: &Call| call.params[0].as_str()?.parse().ok();
        let pairs = calls.iter().map(|call| {
            Ok((raw(call).ok_or_else(|| eyre!("not a raw transaction: {}", call.params))?, call.journaled))
        });
        pairs.collect()
    }

    /// The block ranges asked for logs, oldest first. Queries by block hash are none.
    pub fn ranges(&self) -> Result<Vec<(u64, u64)>> {
        let calls = self.calls("eth_getLogs");
        let mut ranges = Vec::new();
        for call in calls.iter().filter(|call| call.params[0].get("fromBlock").is_some()) {
            ranges.push(range(&call.params).ok_or_else(|| eyre!("no range: {}", call.params))?);
        }
        Ok(ranges)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

fn range(params: &Value) -> Option<(u64, u64)> {
    let number =
        |key: &str| u64::from_str_radix(params[0].get(key)?.as_str()?.trim_start_matches("0x"), 16).ok();
    Some((number("fromBlock")?, number("toBlock")?))
}

async fn serve(stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some((head, body))) = request(&mut stream).await {
        if head.to_lowercase().contains("upgrade: websocket") {
            let _cut = tunnel(stream, &head, &script).await;
            return;
        }
        let Ok(Some((status, body))) = answer(&body, &script).await else { return };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

/// One HTTP/1.1 request: its head as text, and its body.
async fn request(stream: &mut BufReader<TcpStream>) -> Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
        if head.get(before..) == Some("\r\n") {
            break;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}

/// A WebSocket is passed through as it is.
async fn tunnel(mut stream: BufReader<TcpStream>, head: &str, script: &Mutex<Script>) -> Result<()> {
    let (refused, upstream) = {
        let script = lock(script);
        (script.refuses_sockets, script.upstream.clone())
    };
    if refused {
        stream.write_all(b"HTTP/1.1 501 x\r\ncontent-length: 0\r\n\r\n").await?;
        return Ok(());
    }
    // Anvil takes sockets at its root only, and the path holds the canary.
    let (_, rest) = head.split_once("\r\n").ok_or_else(|| eyre!("no request line"))?;
    let mut node = TcpStream::connect(&upstream).await?;
    node.write_all(format!("GET / HTTP/1.1\r\n{rest}").as_bytes()).await?;
    copy_bidirectional(&mut stream, &mut node).await?;
    Ok(())
}

/// Status and body; `None` closes the connection.
async fn answer(body: &[u8], script: &Mutex<Script>) -> Result<Option<(u16, Vec<u8>)>> {
    let packet: Value = serde_json::from_slice(body)?;
    let calls = packet.as_array().cloned().unwrap_or_else(|| vec![packet.clone()]);
    let mut answered: Vec<Value> = Vec::new();
    let mut forwarded: Vec<Value> = Vec::new();
    let mut swallow = false;
    for call in calls {
        let error = |code: i64, message: &str| json!({ "jsonrpc": "2.0", "id": call["id"], "error": { "code": code, "message": message } });
        match meet(&call, script) {
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Drop) => return Ok(None),
            Some(Fault::Http(status, text)) => return Ok(Some((status, text.into()))),
            Some(
                Fault::Error(code, message)
                | Fault::LogRange(_, code, message)
                | Fault::Parameters(_, code, message),
            ) => answered.push(error(code, message)),
            Some(Fault::Answer(result)) => {
                answered.push(json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }));
            }
            Some(Fault::SwallowReply) => {
                swallow = true;
                forwarded.push(call);
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                forwarded.push(call);
            }
            None => forwarded.push(call),
        }
    }
    if !forwarded.is_empty() {
        answered.extend(forward(forwarded, script).await?);
    }
    if swallow {
        return Ok(None);
    }
    let body = if packet.is_array() { Value::Array(answered) } else { answered.remove(0) };
    Ok(Some((200, serde_json::to_vec(&body)?)))
}

async fn forward(calls: Vec<Value>, script: &Mutex<Script>) -> Result<Vec<Value>> {
    let url = format!("http://{}", lock(script).upstream);
    let answer = reqwest::Client::new().post(url).json(&calls).send().await.wrap_err("forwarding")?;
    Ok(answer.json().await?)
}

/// Records the call and finds the fault it meets.
fn meet(call: &Value, script: &Mutex<Script>) -> Option<Fault> {
    let method = call["method"].as_str().unwrap_or_default().to_owned();
    let params = call["params"].clone();
    let mut script = lock(script);
    let journaled = method == "eth_sendRawTransaction"
        && script.journal.as_ref().is_some_and(|path| holds(path, &params).unwrap_or(false));
    script.seen.push(Call { method: method.clone(), params: params.clone(), at: Instant::now(), journaled });
    let rule = script.rules.iter_mut().find(|rule| {
        let fits = match rule.fault {
            Fault::LogRange(most, ..) => {
                range(&params).is_some_and(|(from, to)| to.saturating_sub(from) >= most)
            }
            Fault::Parameters(most, ..) => params.as_array().is_some_and(|params| params.len() > most),
            _ => true,
        };
        rule.left > 0 && fits && (rule.method == "*" || rule.method == method)
    })?;
    rule.left = rule.left.saturating_sub(u32::from(rule.left != u32::MAX));
    Some(rule.fault.clone())
}

/// Whether the journal holds these raw bytes, seen by somebody beside its writer.
fn holds(journal: &PathBuf, params: &Value) -> Result<bool> {
    let raw: Bytes = params[0].as_str().ok_or_else(|| eyre!("no bytes"))?.parse()?;
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(journal, flags)?;
    let sql = "SELECT EXISTS (SELECT 1 FROM attempt WHERE raw = ?1)";
    Ok(db.query_row(sql, [raw.as_ref()], |row| row.get(0))?)
}
