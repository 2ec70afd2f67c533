#include "reports/atomic_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "configs/error.h"

namespace spillway::reports {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& path, const std::string& what, int error) {
  std::string help = "choose another folder with --out";
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    help = "free some space, or choose another folder with --out";
  throw Error(ErrorKind::kBadInput, Place{.file = path}, what + ": " + std::strerror(error), help);
}

/// Holds SIGINT and SIGTERM back while files are between "written" and "renamed".
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~SignalsHeld() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_{};
};

/// Creates missing folders, outermost first, and removes those again unless told to keep them.
class NewFolders {
 public:
  explicit NewFolders(const fs::path& dir) {
    std::vector<fs::path> missing;
    for (fs::path at = dir.lexically_normal(); !at.empty() && !exists(at); at = at.parent_path()) missing.push_back(at);
    std::reverse(missing.begin(), missing.end());
    for (const fs::path& folder : missing) {
      if (::mkdir(folder.c_str(), 0777) == 0) {
        made_.insert(made_.begin(), folder);
      } else if (errno != EEXIST) {
        const int error = errno;
        undo();
        fail(folder.string(), "cannot create the folder", error);
      }
    }
    struct stat status {};
    if (::stat(dir.c_str(), &status) != 0) fail(dir.string(), "cannot use the folder", errno);
    if (!S_ISDIR(status.st_mode)) fail(dir.string(), "cannot write into it", ENOTDIR);
  }
  ~NewFolders() {
    if (!keep_) undo();
  }
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;
  void keep() { keep_ = true; }

 private:
  static bool exists(const fs::path& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
  }
  void undo() {
    for (const fs::path& folder : made_) ::rmdir(folder.c_str());
    made_.clear();
  }

  std::vector<fs::path> made_;  ///< innermost first
  bool keep_ = false;
};

void write_content(const std::string& path, const std::string& content) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(path, "cannot create the file", errno);
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(file, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      ::close(file);
      fail(path, "cannot write the file", error);
    }
    done += static_cast<std::size_t>(n);
  }
  if (::close(file) != 0) fail(path, "cannot write the file", errno);
}

/// Files that are removed at the end of the scope unless they have got their final name.
class Temporaries {
 public:
  Temporaries() = default;
  ~Temporaries() {
    for (const auto& [temporary, path] : pending_) ::unlink(temporary.c_str());
  }
  Temporaries(const Temporaries&) = delete;
  Temporaries& operator=(const Temporaries&) = delete;

  /// `write` fills the temporary file that it is given the name of.
  void add(const fs::path& path, const std::function<void(const std::string&)>& write) {
    const std::string temporary = path.string() + ".part" + std::to_string(::getpid());
    pending_.emplace_back(temporary, path.string());
    try {
      write(temporary);
    } catch (const Error& error) {
      // The user knows the file by its final name.
      throw Error(error.kind(), Place{.file = path.string()}, error.problem(), error.help());
    }
    // Some file systems report a full disk only here.
    const int file = ::open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail(path.string(), "cannot read the file back", errno);
    const int error = ::fsync(file) == 0 ? 0 : errno;
    ::close(file);
    if (error != 0 && error != EINVAL && error != EROFS) fail(path.string(), "cannot write the file", error);
  }

  void rename_all() {
    for (const auto& [temporary, path] : pending_) {
      struct stat status {};
      if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
        fail(path, "cannot replace it by a file", EISDIR);
      }
    }
    while (!pending_.empty()) {
      const auto& [temporary, path] = pending_.back();
      if (std::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "cannot put the file in its place", errno);
      pending_.pop_back();
    }
  }

 private:
  std::vector<std::pair<std::string, std::string>> pending_;
};

}  // namespace

void write_atomically(const std::string& dir, const std::vector<NamedWriter>& files) {
  const SignalsHeld held;
  // A write past a size limit shall be an error of write(), not the end of the process.
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGXFSZ, &ignore, &before);
  struct Restore {
    struct sigaction& action;
    ~Restore() { ::sigaction(SIGXFSZ, &action, nullptr); }
  } const restore{before};

  NewFolders folders{fs::path(dir)};
  Temporaries temporaries;
  for (const NamedWriter& file : files) temporaries.add(fs::path(dir) / file.name, file.write);
  temporaries.rename_all();
  folders.keep();
}

void write_atomically(const std::string& dir, const std::vector<NamedContent>& files) {
  std::vector<NamedWriter> writers;
  writers.reserve(files.size());
  for (const NamedContent& file : files) {
    writers.push_back({file.name, [&file](const std::string& path) { write_content(path, file.content); }});
  }
  write_atomically(dir, writers);
}

void check_writable(const std::string& dir) {
  fs::path at = fs::absolute(fs::path(dir)).lexically_normal();
  struct stat status {};
  while (::stat(at.c_str(), &status) != 0) {
    if (errno != ENOENT) fail(dir, "cannot write into it", errno);
    if (at == at.parent_path()) fail(dir, "cannot write into it", ENOENT);
    at = at.parent_path();
  }
  if (!S_ISDIR(status.st_mode)) fail(at.string(), "cannot write into it", ENOTDIR);
  if (::access(at.c_str(), W_OK | X_OK) != 0) fail(at.string(), "cannot write into it", errno);
  // Some file systems permit and then refuse. What is made here goes again.
  const NewFolders attempt{fs::path(dir)};
}

}  // namespace spillway::reports
