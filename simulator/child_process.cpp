#include "simulator/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "simulator/wire.h"

namespace spillway::simulator {

namespace {

enum class Kind : std::uint32_t { kProgress, kAnswer, kError, kOtherException };

struct Header {
  Kind kind = Kind::kProgress;
  std::size_t bytes = 0;
};

/// False if the other end is gone.
bool write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool read_all(int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(fd, data, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool send(int fd, Kind kind, const std::string& bytes) {
  Header header;
  std::memset(static_cast<void*>(&header), 0, sizeof header);
  header.kind = kind;
  header.bytes = bytes.size();
  return write_all(fd, reinterpret_cast<const char*>(&header), sizeof header) &&
         write_all(fd, bytes.data(), bytes.size());
}

[[noreturn]] void child(int fd, pid_t parent, const Job& job) {
  // Die with the parent, also when it is killed before this line; be interrupted as any program is.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Pipes of other simulations that other threads have open: their parents wait for them to close.
  constexpr int kOwn = 3;
  if (fd != kOwn) ::dup2(fd, kOwn);
  ::close_range(kOwn + 1, ~0U, 0);

  bool sent = false;
  try {
    const std::string answer = job(Tell([](std::span<const std::int64_t> numbers) {
      WireWriter out;
      out.list(std::vector<std::int64_t>(numbers.begin(), numbers.end()));
      if (!send(kOwn, Kind::kProgress, out.take())) ::_exit(1);
    }));
    sent = send(kOwn, Kind::kAnswer, answer);
  } catch (const Error& error) {
    sent = send(kOwn, Kind::kError, to_bytes(error));
  } catch (const std::exception& error) {
    sent = send(kOwn, Kind::kOtherException, error.what());
  } catch (...) {
    sent = send(kOwn, Kind::kOtherException, "an exception of unknown type");
  }
  ::_exit(sent ? 0 : 1);
}

/// The child's end as the parent sees it: killed and reaped whatever happens.
class Child {
 public:
  Child(pid_t pid, int fd) : pid_(pid), fd_(fd) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::close(fd_);
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      static_cast<void>(reap());
    }
  }

  /// False at the end of the stream.
  bool receive(Kind& kind, std::string& bytes) {
    Header header;
    if (!read_all(fd_, reinterpret_cast<char*>(&header), sizeof header)) return false;
    kind = header.kind;
    bytes.resize(header.bytes);
    return read_all(fd_, bytes.data(), bytes.size());
  }

  /// How it ended, in words.
  std::string reap() {
    int status = 0;
    pid_t reaped = 0;
    do {
      reaped = ::waitpid(pid_, &status, 0);
    } while (reaped < 0 && errno == EINTR);
    pid_ = -1;
    if (reaped < 0) return "disappeared";
    if (WIFSIGNALED(status)) {
      const char* name = ::strsignal(WTERMSIG(status));
      return "died of signal " + std::to_string(WTERMSIG(status)) + " (" + (name != nullptr ? name : "unknown") + ")";
    }
    return "ended with code " + std::to_string(WEXITSTATUS(status)) + " and no answer";
  }

 private:
  pid_t pid_;
  int fd_;
};

}  // namespace

std::string run_in_child(const Job& job, const std::function<void(std::int64_t)>& told) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) internal_error(std::string("no pipe for a simulation: ") + std::strerror(errno));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    const int reason = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    internal_error(std::string("no process for a simulation: ") + std::strerror(reason));
  }
  if (pid == 0) {
    ::close(ends[0]);
    child(ends[1], parent, job);
  }
  ::close(ends[1]);
  Child running(pid, ends[0]);

  Kind kind{};
  std::string bytes;
  while (running.receive(kind, bytes)) {
    switch (kind) {
      case Kind::kProgress:
        for (const std::int64_t number : WireReader(bytes).list<std::int64_t>()) {
          if (told) told(number);
        }
        break;
      case Kind::kAnswer:
        static_cast<void>(running.reap());
        return bytes;
      case Kind::kError:
        static_cast<void>(running.reap());
        throw error_from(bytes);
      case Kind::kOtherException:
        static_cast<void>(running.reap());
        internal_error("the simulation failed: " + bytes);
    }
  }
  internal_error("the simulation's process " + running.reap());
}

}  // namespace spillway::simulator
