//! Both sides of the gateway, started, supervised and stopped.
//!
//! Order of the start: descriptors, driver, sockets, store, first configuration, workers, Admin API. Nothing is
//! served before the configuration is loaded; a port that is taken or a store that is damaged is found before
//! anything runs.

use super::sealed;
use crate::admin::{self, AdminState};
use crate::auth::jwt::failure::Reason;
use crate::base::clock::Now;
use crate::config::{AccessLog, Admin, Config, Export};
use crate::control::SecretSource;
use crate::control::{self, Control};
use crate::dns::Resolver;
use crate::limit::Table;
use crate::log;
use crate::metrics::Cells;
use crate::metrics::Counter;
use crate::plugin::Rules;
use crate::resource::PREFIX;
use crate::secret::{self, Board};
use crate::snapshot::compile::Compiler;
use crate::snapshot::feed::Feed;
use crate::worker::driver::{self, Driver, DriverKind};
use crate::{listener, status, worker};
use anyhow::{Context, bail};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// What `ringgate run` decided from arguments and configuration.
#[derive(Debug)]
pub struct Plan {
    /// The configuration.
    pub config: Config,
    /// Directory that relative paths of the configuration start from.
    pub prefix: PathBuf,
    /// Directory of the embedded store.
    pub data_dir: PathBuf,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// The I/O driver to use.
    pub driver: DriverChoice,
}

/// Which I/O driver workers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DriverChoice {
    /// `io_uring` where the kernel allows it, else epoll with one line in the log.
    Auto,
    /// `io_uring` or an error.
    #[value(name = "io_uring")]
    IoUring,
    /// epoll.
    Epoll,
}

/// Serves until told to stop.
pub fn serve(plan: Plan) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let driver = choose_driver(plan.driver)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(run(plan, driver))?;
    // Workers are parked around operations that the kernel may still be writing for; nothing is torn down under them.
    let _ = std::io::stdout().flush();
    std::process::exit(code);
}

/// Starts everything, waits for the end, returns the exit code.
async fn run(plan: Plan, driver: Driver) -> anyhow::Result<i32> {
    // Before anything else, so that no signal meets its default action in the middle of the start.
    let mut signals = Signals::new()?;
    let config = plan.config;
    let sockets = Sockets::bind(&config, plan.workers).await?;
    let store = sealed::open(&plan.data_dir, &plan.prefix, config.data_encryption.clone())?;
    let sealing = store.tally();
    let (feed, mailboxes) = Feed::new(plan.workers)?;
    let bells = feed.bells()?;
    let mut settings = config.settings();
    let (log_format, _) = log::Format::compile(&config.access_log.format, config.access_log.escape);
    settings.limit_count.tells_log = log_format.names(log::variable::Variable::RateLimitingInfo);
    let settings = Arc::new(settings);
    let plugin_rules = config.plugin_rules;
    let (results, resolutions) = mpsc::unbounded_channel();
    let resolver = Resolver::start(config.resolver.clone(), results)
        .map_err(|reason| anyhow::anyhow!("cannot start resolving names: {reason}"))?;
    let now = Now::read();
    let limits = Arc::new(Table::new(settings.limit_count.windows_max, now.monotonic_us, now.unix_us / 1000));
    let cells = cells_of(plan.workers);
    let board: Arc<Board> = Arc::default();
    let ca_file = config.secrets.ca_file.as_ref().map(|path| plan.prefix.join(path));
    let secrets = secret::Settings { ca_file, ..config.secrets };
    let unresolved_literals = secrets.unresolved_literals;
    let secrets = secret_source(&secrets, &board, cells.clone())?;
    let compiler = Compiler::new(PREFIX, settings.keepalive, plugin_rules)
        .counting_in(Arc::clone(&limits))
        .resolving(secrets.environment, Arc::clone(&board))
        .using_unresolved_literals(unresolved_literals);
    let started = Control::start(Arc::new(store), feed, compiler, Some(resolver), resolutions, Some(secrets));
    let control = tokio::select! {
        control = started => control?,
        // Nothing is served yet that would have to be finished.
        () = signals.end() => return Ok(0),
    };
    let (sink, writers) = start_log(&config.access_log, &plan.prefix, plan.workers)?;

    let stop = Arc::new(AtomicBool::new(false));
    let (report, mut ends) = mpsc::unbounded_channel();
    let cores = Cores::of_this_process();
    let announced = sockets.announce(&driver, plan.workers);
    for (index, ((((mailbox, doorbell), log), listeners), cells)) in
        mailboxes.into_iter().zip(writers).zip(sockets.data).zip(&cells).enumerate()
    {
        let report = report.clone();
        let plan = worker::Plan {
            index,
            core: cores.for_worker(index, plan.workers),
            driver: driver.kind,
            listeners,
            settings: Arc::clone(&settings),
            mailbox,
            doorbell,
            cells: Arc::clone(cells),
            log,
            stop: Arc::clone(&stop),
        };
        worker::spawn(plan, move |end| {
            // The receiver is gone only when the process is about to end.
            let _ = report.send(end);
        })
        .with_context(|| format!("cannot start worker {index}"))?;
    }
    // The sweeper counts like a worker.
    let swept: Arc<Cells> = Arc::default();
    tokio::spawn(control::limits::sweep(limits, Arc::clone(&swept)));
    let (closing, closed) = watch::channel(false);
    let admin = match (sockets.admin, config.admin) {
        (Some(socket), Some(rules)) => {
            let state = admin_state(rules, &settings.server, plugin_rules, control.clone());
            Some(tokio::spawn(admin::serve(socket, state, is_set(closed.clone()))))
        }
        _ => None,
    };
    if let Some(socket) = sockets.status {
        tokio::spawn(status::serve(socket, control, Arc::clone(&board), is_set(closed.clone())));
    }
    if let (Some(socket), Some(export)) = (sockets.export, config.export) {
        let cells = [cells, vec![swept]].concat();
        tokio::spawn(async move {
            status::prometheus::serve(socket, &export.uri, cells, sealing, board, is_set(closed)).await;
        });
    }
    writeln!(std::io::stdout().lock(), "{announced}")?;

    let code = supervise(&mut signals, &mut ends, &sink, plan.workers, || {
        stop.store(true, Ordering::Release);
        bells.ring();
        closing.send_replace(true);
    })
    .await;
    if code == 0 {
        if let Some(admin) = admin {
            // It bounds its own drain.
            let _ = admin.await;
        }
        tokio::task::spawn_blocking(move || sink.stop()).await?;
    }
    Ok(code)
}

/// The counters of `workers` workers; rejections are counted in one place.
fn cells_of(workers: usize) -> Vec<Arc<Cells>> {
    let rejections = Arc::default();
    let of_worker = |_| Arc::new(Cells { rejections: Arc::clone(&rejections), ..Cells::default() });
    (0..workers).map(of_worker).collect()
}

/// Waits until every worker has drained after a signal, or until something breaks.
async fn supervise(
    signals: &mut Signals,
    ends: &mut mpsc::UnboundedReceiver<worker::End>,
    sink: &log::Sink,
    workers: usize,
    begin_stop: impl Fn(),
) -> i32 {
    let mut is_stopping = false;
    let mut drained = 0;
    loop {
        let mut signalled = false;
        tokio::select! {
            _ = signals.rotate.recv() => sink.reopen(),
            _ = signals.terminate.recv() => signalled = true,
            _ = signals.interrupt.recv() => signalled = true,
            end = ends.recv() => match end {
                Some(worker::End::Drained { cut_off }) => {
                    if cut_off > 0 {
                        tracing::warn!(connections = cut_off, "the drain took too long; connections were cut off");
                    }
                    drained += 1;
                    if drained == workers {
                        return 0;
                    }
                }
                Some(worker::End::Broken(reason)) => {
                    tracing::error!(%reason, "a worker ended; the process ends with it");
                    return 1;
                }
                None => return 1,
            },
        }
        if signalled {
            if is_stopping {
                tracing::warn!("stopped by a second signal, without waiting for requests in flight");
                return 1;
            }
            is_stopping = true;
            tracing::info!("stopping: no new connections, requests in flight are finished");
            begin_stop();
        }
    }
}

/// The signals that mean something to a running gateway.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// SIGUSR1: the access log has been moved away, as nginx has it.
    rotate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            rotate: signal(SignalKind::user_defined1())?,
        })
    }

    /// Comes when the process is asked to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The bound sockets, before anything uses them.
struct Sockets {
    /// For each worker, one socket of every address.
    data: Vec<Vec<std::net::TcpListener>>,
    data_addresses: Vec<SocketAddr>,
    admin: Option<TcpListener>,
    status: Option<TcpListener>,
    export: Option<TcpListener>,
}

impl Sockets {
    async fn bind(config: &Config, workers: usize) -> anyhow::Result<Self> {
        let mut data: Vec<Vec<std::net::TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
        let mut data_addresses = Vec::new();
        for address in &config.listeners {
            let sockets = match listener::bind(*address, workers) {
                Ok(sockets) => sockets,
                // `[::]` stands beside `0.0.0.0` by default; a host without IPv6 is served without it.
                Err(error) if *address == any_ipv6(address.port()) && lacks_ipv6(&error) => {
                    tracing::warn!(%error, "apisix.enable_ipv6: this host has no IPv6, listening on IPv4 only");
                    continue;
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("apisix.node_listen: cannot listen on {address}"));
                }
            };
            data_addresses.extend(sockets.first().and_then(|socket| socket.local_addr().ok()));
            for (worker, socket) in data.iter_mut().zip(sockets) {
                worker.push(socket);
            }
        }
        let admin = match &config.admin {
            Some(admin) => Some(
                TcpListener::bind(admin.listen)
                    .await
                    .with_context(|| format!("deployment.admin.admin_listen: cannot listen on {}", admin.listen))?,
            ),
            None => None,
        };
        let status = match config.status {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .with_context(|| format!("apisix.status: cannot listen on {address}"))?,
            ),
            None => None,
        };
        let export = match &config.export {
            Some(export) => bind_export(export).await?,
            None => None,
        };
        Ok(Self { data, data_addresses, admin, status, export })
    }

    /// The start line: what listens where, on which driver, with how many workers.
    fn announce(&self, driver: &Driver, workers: usize) -> String {
        let list: Vec<String> = self.data_addresses.iter().map(ToString::to_string).collect();
        let local = |socket: &Option<TcpListener>| {
            socket
                .as_ref()
                .and_then(|socket| socket.local_addr().ok())
                .map_or("off".to_owned(), |address| address.to_string())
        };
        format!(
            "ringgate {}: proxy on {}, Admin API on {}, status on {}, metrics on {}, {} worker{}, {}",
            env!("CARGO_PKG_VERSION"),
            list.join(" and "),
            local(&self.admin),
            local(&self.status),
            local(&self.export),
            workers,
            if workers == 1 { "" } else { "s" },
            driver.kind,
        )
    }
}

/// A configured address must be had. The default one is the original's too, and may be taken by it.
async fn bind_export(export: &Export) -> anyhow::Result<Option<TcpListener>> {
    match TcpListener::bind(export.address).await {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if export.is_configured => Err(error)
            .with_context(|| format!("plugin_attr.prometheus.export_addr: cannot listen on {}", export.address)),
        Err(error) => {
            tracing::warn!(%error, address = %export.address, "metrics are not served: the default address cannot be had");
            Ok(None)
        }
    }
}

/// The cores this process may use.
struct Cores(Vec<usize>);

impl Cores {
    fn of_this_process() -> Self {
        let set = rustix::thread::sched_getaffinity(None);
        Self(set.map_or_else(
            |_| Vec::new(),
            |set| (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        ))
    }

    /// One core per worker, as long as there are enough; more workers than cores are left to the scheduler.
    fn for_worker(&self, index: usize, workers: usize) -> Option<usize> {
        if workers > self.0.len() { None } else { self.0.get(index).copied() }
    }
}

fn choose_driver(choice: DriverChoice) -> anyhow::Result<Driver> {
    if choice == DriverChoice::Epoll {
        return Ok(Driver { kind: DriverKind::Epoll, reason: None });
    }
    let driver = driver::probe();
    if let Some(reason) = &driver.reason {
        if driver.kind == DriverKind::Epoll && choice == DriverChoice::IoUring {
            bail!("--driver io_uring: {reason}");
        }
        tracing::warn!("running on {}: {reason}", driver.kind);
    }
    Ok(driver)
}

fn start_log(config: &AccessLog, prefix: &Path, workers: usize) -> anyhow::Result<(log::Sink, Vec<log::Writer>)> {
    let path = config.path.to_string_lossy();
    let options = log::Options {
        path: log::Options::destination(config.enabled, &path, prefix),
        format: config.format.clone(),
        escape: config.escape,
        buffer_bytes: config.buffer_bytes,
    };
    log::Sink::start(&options, workers)
        .with_context(|| format!("nginx_config.http.access_log: cannot write {}", prefix.join(&config.path).display()))
}

fn admin_state(rules: Admin, server: &str, plugin_rules: Rules, control: Control) -> AdminState {
    AdminState {
        control,
        key_required: rules.keys.is_some(),
        keys: rules.keys.unwrap_or_default(),
        allow: rules.allow,
        cors: rules.cors,
        server: server.to_owned(),
        prefix: PREFIX.to_owned(),
        rules: plugin_rules,
    }
}

/// What resolves references to secrets; more eagerly while workers meet what could be an unresolved one.
fn secret_source(
    settings: &secret::Settings,
    board: &Arc<Board>,
    cells: Vec<Arc<Cells>>,
) -> anyhow::Result<SecretSource> {
    let unresolved = move |cells: &Cells| {
        // A credential that waits for its secret is nobody's.
        let unknown = cells.jwt_refusals.get(Reason::KeyUnknown as usize).map_or(0, Counter::value);
        unknown.wrapping_add(cells.unresolved_secrets.value())
    };
    let demand = move || cells.iter().map(|cells| unresolved(cells)).fold(0, u64::wrapping_add);
    let (results, resolutions) = mpsc::unbounded_channel();
    let resolver = secret::Resolver::start(settings, Arc::clone(board), Box::new(demand), results)
        .map_err(|reason| anyhow::anyhow!(reason))?;
    Ok(SecretSource { resolver, environment: secret::env::process, resolutions })
}

fn any_ipv6(port: u16) -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port))
}

fn lacks_ipv6(error: &std::io::Error) -> bool {
    let number = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(number, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
}

async fn is_set(mut switch: watch::Receiver<bool>) {
    // A sender that is gone means the same as a set switch.
    let _ = switch.wait_for(|is_set| *is_set).await;
}

/// Connections are descriptors: the soft limit is raised to the hard one.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the limit of open descriptors");
        }
    }
}
