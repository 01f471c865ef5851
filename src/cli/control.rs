//! The control socket: one process holds the embedded store, so a command is handed to the daemon when it runs.
//!
//! A command travels as its words and the contents of the files that it names (the daemon may stand in another
//! folder and may not read what the person may); back come progress and one [`Answer`]. Frames are a length of four
//! octets, big-endian, and postcard. The socket is for its owner only (mode 0600) and everything has a bound.
//! A client that goes away does not stop what it asked for: half a change would be worse than a change nobody waits for.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::report::{Answer, Failure};

/// Name of the socket under `data_dir`.
pub const SOCKET: &str = "control.sock";
/// Largest request: the words and all files together, in octets; a table of two million accounts fits.
pub const REQUEST_OCTETS: usize = 256 * 1024 * 1024;
/// Largest answer, in octets; an export of a million subscribers fits.
pub const ANSWER_OCTETS: usize = 512 * 1024 * 1024;
/// Requests that are read and worked on at the same time; others wait in order.
const AT_ONCE: usize = 8;
/// How long a client may take to hand over its request.
const REQUEST_WITHIN: Duration = Duration::from_mins(1);
/// First octet of each frame's content; another one is another release.
const FORM: u8 = 1;

/// A command on its way to whoever holds the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The words of the command line, the program's name first.
    pub words: Vec<String>,
    /// The files that the words name.
    pub files: Vec<NamedFile>,
    /// The folder in which the person stands, for files that are too large to travel.
    pub folder: PathBuf,
}

/// A file as the person gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedFile {
    /// As in the words; `-` is standard input.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// How far long work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub total: u64,
}

/// Told how far the work is; may drop what comes too fast.
pub type Progress<'a> = &'a (dyn Fn(Step) + Send + Sync);

/// What comes back through the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Event {
    Step(Step),
    Answer(Answer),
}

/// Who carries out requests: the same code behind the socket and without a daemon.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Carries `request` out and renders the answer.
    async fn handle(&self, request: Request, progress: Progress<'_>) -> Answer;
}

/// A bound control socket; removed when it is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Binds `data_dir/control.sock` with mode 0600, in place of one that a killed daemon left.
    ///
    /// Call it with the store open: that is what makes sure that no other daemon listens there.
    /// The socket is made inside a folder of mode 0700 and moved out when its own mode is set, so that there is no
    /// instant at which others could connect.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        let private = data_dir.join(format!(".control-{}", std::process::id()));
        let _ = fs::remove_dir_all(&private);
        fs::DirBuilder::new().mode(0o700).create(&private)?;
        let made = private.join(SOCKET);
        let bound = Reach::to(&made).and_then(|reach| UnixListener::bind(&reach.path)).and_then(|listener| {
            fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
            fs::rename(&made, &path)?;
            Ok(listener)
        });
        let _ = fs::remove_dir_all(&private);
        Ok(Self { listener: bound?, path })
    }

    /// Answers clients until `stop`, then waits for the requests that are being worked on.
    ///
    /// # Errors
    /// Never for a client's fault; only if the socket itself fails.
    pub async fn serve(self, handler: Arc<dyn Handler>, stop: CancellationToken) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let tasks = tokio_util::task::TaskTracker::new();
        loop {
            let stream = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of descriptors: wait for some to come back instead of spinning.
                        tracing::warn!(%error, "Could not accept on the control socket");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (handler, places) = (Arc::clone(&handler), Arc::clone(&places));
            tasks.spawn(async move {
                let Ok(_place) = places.acquire().await else { return };
                if let Err(error) = converse(stream, handler).await {
                    tracing::debug!(%error, "A client of the control socket went away");
                }
            });
        }
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// One client: its request in, progress and answer out.
async fn converse(stream: UnixStream, handler: Arc<dyn Handler>) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let request = match tokio::time::timeout(REQUEST_WITHIN, read_frame::<Request>(&mut reader, REQUEST_OCTETS)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            let failure = Failure::new(error, "use the `enlace` of the same release as the daemon");
            return write_frame(&mut writer, &Event::Answer(Answer::of(Err(failure), false))).await;
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    let (sender, mut steps) = mpsc::channel(16);
    let work = async {
        let progress = move |step| {
            let _ = sender.try_send(step);
        };
        handler.handle(request, &progress).await
    };
    let tell = async {
        let mut result = Ok(());
        while let Some(step) = steps.recv().await {
            if result.is_ok() {
                result = write_frame(&mut writer, &Event::Step(step)).await;
            }
        }
        result
    };
    let (answer, told) = tokio::join!(work, tell);
    told?;
    write_frame(&mut writer, &Event::Answer(answer)).await
}

/// Hands `request` to the daemon of `data_dir`; `None` when none listens there.
///
/// # Errors
/// When a daemon was reached and the connection to it broke: the command may have been carried out.
pub async fn ask(data_dir: &Path, request: &Request, progress: Progress<'_>) -> io::Result<Option<Answer>> {
    let reach = Reach::to(&data_dir.join(SOCKET))?;
    let stream = match UnixStream::connect(&reach.path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut reader, mut writer) = stream.into_split();
    write_frame(&mut writer, request).await?;
    loop {
        match read_frame::<Event>(&mut reader, ANSWER_OCTETS).await? {
            Event::Step(step) => progress(step),
            Event::Answer(answer) => return Ok(Some(answer)),
        }
    }
}

/// A path that fits into a socket address (108 octets on Linux, unix(7)): a long one goes through its open folder.
struct Reach {
    path: PathBuf,
    _folder: Option<fs::File>,
}

impl Reach {
    const LONGEST: usize = 100;

    fn to(path: &Path) -> io::Result<Self> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if path.as_os_str().len() > Self::LONGEST => {
                let folder = match fs::File::open(parent) {
                    Ok(folder) => folder,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Ok(Self { path: "/nonexistent".into(), _folder: None });
                    }
                    Err(error) => return Err(error),
                };
                let through = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
                Ok(Self { path: through, _folder: Some(folder) })
            }
            _ => Ok(Self { path: path.to_owned(), _folder: None }),
        }
    }
}

async fn write_frame<T: Serialize>(writer: &mut (impl AsyncWriteExt + Unpin), value: &T) -> io::Result<()> {
    let mut frame = vec![0, 0, 0, 0, FORM];
    frame = postcard::to_extend(value, frame).map_err(io::Error::other)?;
    let length = u32::try_from(frame.len() - 4).map_err(|_| io::Error::other("the answer is larger than 4 GiB"))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    writer.write_all(&frame).await
}

/// Reads one frame of at most `most` octets. Memory grows with what really comes, not with what is announced.
async fn read_frame<T: DeserializeOwned>(reader: &mut (impl AsyncReadExt + Unpin), most: usize) -> io::Result<T> {
    let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let length = reader.read_u32().await? as usize;
    if length > most {
        return Err(invalid(&format!("a frame of {length} octets on the control socket, where {most} are allowed")));
    }
    let mut content = Vec::with_capacity(length.min(64 * 1024));
    reader.take(length as u64).read_to_end(&mut content).await?;
    if content.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match content.split_first() {
        Some((&FORM, rest)) => postcard::from_bytes(rest).map_err(|_| invalid("the control socket was spoken to in an unknown form")),
        _ => Err(invalid("the control socket was spoken to in the form of another release")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers with the words, counts finished requests, and shows progress.
    struct Echo(AtomicUsize);

    #[async_trait]
    impl Handler for Echo {
        async fn handle(&self, request: Request, progress: Progress<'_>) -> Answer {
            for done in 0..3 {
                progress(Step { done, total: 3 });
                tokio::task::yield_now().await;
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            let octets: usize = request.files.iter().map(|file| file.bytes.len()).sum();
            Answer { output: format!("{} {octets}", request.words.join(" ")), ..Answer::default() }
        }
    }

    async fn with_daemon<F: Future<Output = ()>>(folder: &Path, test: impl FnOnce(Arc<Echo>) -> F) {
        let echo = Arc::new(Echo(AtomicUsize::new(0)));
        let stop = CancellationToken::new();
        let serving = tokio::spawn(Control::bind(folder).unwrap().serve(echo.clone(), stop.clone()));
        test(echo).await;
        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!folder.join(SOCKET).exists());
    }

    fn request(word: &str, octets: usize) -> Request {
        Request {
            words: vec![word.to_owned()],
            files: vec![NamedFile { name: "-".into(), bytes: vec![b'x'; octets] }],
            ..Request::default()
        }
    }

    #[tokio::test]
    async fn many_clients_are_answered_each_its_own() {
        let folder = tempfile::tempdir().unwrap();
        with_daemon(folder.path(), |_| async {
            let asks = (0..100).map(|n| {
                let data_dir = folder.path().to_owned();
                tokio::spawn(async move {
                    let answer = ask(&data_dir, &request(&n.to_string(), n * 1000), &|_| {}).await.unwrap().unwrap();
                    assert_eq!(answer.output, format!("{n} {}", n * 1000));
                })
            });
            for asked in asks.collect::<Vec<_>>() {
                asked.await.unwrap();
            }
        })
        .await;
    }

    #[tokio::test]
    async fn progress_reaches_the_client() {
        let folder = tempfile::tempdir().unwrap();
        with_daemon(folder.path(), |_| async {
            let steps = AtomicUsize::new(0);
            let count = |step: Step| {
                assert_eq!(step.total, 3);
                steps.fetch_add(1, Ordering::SeqCst);
            };
            ask(folder.path(), &request("import", 1), &count).await.unwrap();
            assert_eq!(steps.load(Ordering::SeqCst), 3);
        })
        .await;
    }

    #[tokio::test]
    async fn without_a_daemon_or_with_a_dead_socket_nobody_answers() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ask(folder.path(), &request("x", 0), &|_| {}).await.unwrap(), None);
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert_eq!(ask(folder.path(), &request("x", 0), &|_| {}).await.unwrap(), None);
        with_daemon(folder.path(), |_| async {
            assert!(ask(folder.path(), &request("x", 0), &|_| {}).await.unwrap().is_some());
        })
        .await;
    }

    #[tokio::test]
    async fn a_client_that_leaves_does_not_stop_its_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        with_daemon(path, |echo| async move {
            let mut stream = UnixStream::connect(path.join(SOCKET)).await.unwrap();
            write_frame(&mut stream, &request("x", 10)).await.unwrap();
            drop(stream);
            while echo.0.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    #[tokio::test]
    async fn rubbish_and_announced_gigabytes_are_refused_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        with_daemon(path, |echo| async move {
            for bytes in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x03\x01\xff\xff", b"\0\0\0\x01\x09", b"\0\0\0\0"] {
                let mut stream = UnixStream::connect(path.join(SOCKET)).await.unwrap();
                stream.write_all(bytes).await.unwrap();
                let Event::Answer(answer) = read_frame::<Event>(&mut stream, 10_000).await.unwrap() else { panic!("no answer") };
                assert!(answer.status == 1 && answer.errors.contains("same release"), "{answer:?}");
            }
            assert_eq!(echo.0.load(Ordering::SeqCst), 0);
        })
        .await;
    }

    #[tokio::test]
    async fn only_the_owner_may_connect_and_a_long_folder_works() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("a".repeat(60)).join("b".repeat(60));
        fs::create_dir_all(&long).unwrap();
        with_daemon(&long, |_| async {
            assert_eq!(fs::metadata(long.join(SOCKET)).unwrap().permissions().mode() & 0o777, 0o600);
            assert!(ask(&long, &request("x", 0), &|_| {}).await.unwrap().is_some());
        })
        .await;
    }
}
