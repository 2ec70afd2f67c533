// Do report files appear complete or not at all?
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "reports/atomic_files.h"
#include "sample.h"
#include "tests/temporary_files.h"

using namespace spillway;
using namespace spillway::reports;
namespace fs = std::filesystem;

namespace {

std::string problem_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kBadInput);
    CHECK_FALSE(error.help().empty());
    return error.what();
  }
  FAIL("no error");
  return "";
}

}  // namespace

TEST_CASE("write_files makes the folder and all files, and no others", "[reports][files]") {
  const testing::TemporaryFolder folder;
  write_files(test::sample_report(), (folder.path() / "a" / "b").string());
  CHECK(folder.files() == std::vector<std::string>{"a/b/graph.groups.csv", "a/b/graph.operators.csv",
                                                   "a/b/graph.tensors.csv", "a/b/report.json",
                                                   "a/b/resolved_config.yaml"});
}

TEST_CASE("the resolved config loads again as an equal config", "[reports][files]") {
  const testing::TemporaryFolder folder;
  const auto report = test::sample_report();
  write_files(report, folder.path().string());
  const auto again = configs::load_config((folder.path() / "resolved_config.yaml").string());
  CHECK(configs::to_yaml(again) == configs::to_yaml(report.npu));
}

TEST_CASE("a folder that is a file is refused", "[reports][files]") {
  const testing::TemporaryFolder folder;
  std::ofstream(folder.path() / "taken") << "mine";
  const std::string place = (folder.path() / "taken").string();
  CHECK(problem_of([&] { write_files(test::sample_report(), place); }).find(place) != std::string::npos);
  CHECK(problem_of([&] { check_writable(place); }).find(place) != std::string::npos);
  CHECK(problem_of([&] { check_writable(place + "/deeper"); }).find("Not a directory") != std::string::npos);
  CHECK(folder.read("taken") == "mine");
  CHECK(folder.files() == std::vector<std::string>{"taken"});
}

TEST_CASE("an unwritable folder is refused and stays empty", "[reports][files]") {
  const testing::TemporaryFolder folder;
  if (::geteuid() == 0) {
    // root may write anywhere but in a file system that is none.
    CHECK(problem_of([] {
            write_files(test::sample_report(), "/proc/spillway-test/out");
          }).find("/proc/spillway-test") != std::string::npos);
  } else {
    fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(problem_of([&] {
            write_files(test::sample_report(), (folder.path() / "new").string());
          }).find("Permission denied") != std::string::npos);
    CHECK(problem_of([&] { check_writable((folder.path() / "new").string()); }).find("Permission denied") !=
          std::string::npos);
  }
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a full disk leaves older files as they were and nothing new", "[reports][files]") {
  const testing::TemporaryFolder folder;
  const fs::path kept = folder.path() / "report.json";
  std::ofstream(kept) << "older";
  // A limit on the size of a file stands in for a disk that fills up while the second file is written.
  std::string problem;
  try {
    const testing::FileSizeLimit limit(4096);
    write_atomically(folder.path().string(),
                     std::vector<NamedContent>{{"first.csv", "small"}, {"report.json", std::string(100000, 'x')}});
  } catch (const Error& error) {
    problem = error.what();
  }
  CHECK(problem.find("report.json") != std::string::npos);
  CHECK(folder.read("report.json") == "older");
  CHECK(folder.files() == std::vector<std::string>{"report.json"});
}

TEST_CASE("a writer that meets a full device names the final file", "[reports][files]") {
  if (!fs::exists("/dev/full")) {
    WARN("skipped: no /dev/full");
    return;
  }
  const testing::TemporaryFolder folder;
  const auto write = [](const std::string&) {
    std::ofstream full("/dev/full");
    full << "x" << std::flush;
    if (!full)
      throw Error(ErrorKind::kBadInput, Place{.file = "temporary"}, "cannot be written: No space left on device",
                  "free space");
  };
  const std::string problem = problem_of([&] {
    write_atomically((folder.path() / "new").string(), std::vector<NamedWriter>{{"a.npy", write}});
  });
  CHECK(problem.find("a.npy") != std::string::npos);
  CHECK(problem.find("temporary") == std::string::npos);
  // The folder that was made for the file is gone again.
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("a file name taken by a folder stops all files", "[reports][files]") {
  const testing::TemporaryFolder folder;
  fs::create_directory(folder.path() / "b");
  CHECK(problem_of([&] {
          write_atomically(folder.path().string(), std::vector<NamedContent>{{"a", "1"}, {"b", "2"}});
        }).find("Is a directory") != std::string::npos);
  CHECK(folder.files().empty());
  CHECK(fs::is_empty(folder.path() / "b"));
}

TEST_CASE("file names are unique and safe", "[reports][files]") {
  Report report = test::sample_report();
  report.graphs = {};
  for (const char* model : {"sd15/unet", "exports/unet/model.onnx", "../x y,z.onnx", "/", "a/..", "UNET"}) {
    report.graphs.push_back(test::sample_profile(model));
  }
  CHECK(file_stems(report) == std::vector<std::string>{"unet", "unet_2", "x_y_z", "graph", "_.", "UNET"});
}
