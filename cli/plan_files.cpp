#include "cli/plan_files.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/flags.h"
#include "reports/atomic_files.h"

namespace spillway::cli {

namespace {

namespace fs = std::filesystem;

/// A plan of SDXL's U-Net takes under 4 MB; nothing larger is read into memory.
constexpr std::uintmax_t kLargestFile = 64 << 20;

const std::string kHelp = "`spillway partition TARGET --save-plan FILE` writes a plan file";

std::string folder_of(const std::string& file) {
  const std::string folder = fs::path(file).parent_path().string();
  return folder.empty() ? "." : folder;
}

/// The file of each graph: `path` itself or, where the target has several graphs, PART.plan.json in the folder `path`.
std::vector<std::string> paths_of(const std::string& path, const Target& target) {
  if (path.empty()) return {};
  if (!target.several) return {path};
  std::vector<std::string> paths;
  for (const GraphTarget& graph : target.graphs) {
    paths.push_back((fs::path(path) / (graph.part + ".plan.json")).string());
  }
  return paths;
}

/// Errors about folders, with the flag that chose them.
template <typename Work>
void writing(Work work) {
  try {
    work();
  } catch (const Error& error) {
    throw Error(error.kind(), error.place(), error.problem(), "choose another place with --save-plan");
  }
}

}  // namespace

void PlanFileFlags::add_to(CLI::App& verb) {
  add_value(verb, "--save-plan", save,
            "write the plan to this file; of a target with several graphs, PART.plan.json each into this folder",
            "not written", "unet.plan.json");
  add_value(verb, "--plan", load,
            "use this saved plan (or folder of plans) instead of planning; it must be for the same graph and NPU",
            "none", "unet.plan.json");
  for (const char* flag : {"--strategy", "--objective", "--key-blocks"}) planning_.push_back(verb.get_option(flag));
}

void PlanFileFlags::check(const Target& target) const {
  for (const CLI::Option* option : planning_) {
    if (load.empty() || option->count() == 0) continue;
    throw Error(ErrorKind::kBadInput, Place{},
                fmt::format("{} says how to plan, and --plan gives a plan", option->get_name()),
                "leave one of them out; a saved plan has answered it");
  }
  std::error_code ignored;
  if (!load.empty() && target.several && fs::is_regular_file(load, ignored)) {
    throw Error(ErrorKind::kBadInput, Place{.file = load}, "is a file, and the target has several graphs",
                fmt::format("--plan takes a folder with {}.plan.json and so on; or name one graph as the target",
                            target.graphs.front().part));
  }
  for (const std::string& file : paths_of(save, target)) {
    if (fs::is_directory(file, ignored)) {
      throw Error(ErrorKind::kBadInput, Place{.file = file}, "is a folder: the plan of one graph is a file",
                  fmt::format("--save-plan {}", (fs::path(file) / "plan.json").string()));
    }
    writing([&] { reports::check_writable(folder_of(file)); });
  }
}

std::vector<std::string> PlanFileFlags::loaded(const Target& target) const { return paths_of(load, target); }

void PlanFileFlags::write(const Target& target, const std::vector<std::string>& texts) const {
  const std::vector<std::string> paths = paths_of(save, target);
  if (paths.empty()) return;
  std::vector<reports::NamedContent> files;
  for (std::size_t i = 0; i < paths.size(); ++i) files.push_back({fs::path(paths[i]).filename().string(), texts[i]});
  writing([&] { reports::write_atomically(folder_of(paths.front()), files); });
}

std::string read_plan_file(const std::string& path) {
  const auto fail = [&](const std::string& problem) {
    throw Error(ErrorKind::kBadInput, Place{.file = path}, problem, kHelp);
  };
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) fail("no such file");
  if (fs::is_directory(status)) fail("is a folder: the plan of one graph is a file");
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(fmt::format("cannot be read: {}", std::strerror(errno)));
  std::string text;
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLargestFile) fail(fmt::format("is larger than {} bytes, which no plan is", kLargestFile));
  }
  if (in.bad()) fail(fmt::format("cannot be read: {}", std::strerror(errno)));
  return text;
}

}  // namespace spillway::cli
