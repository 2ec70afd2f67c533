#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>

#include "cli/flags.h"
#include "workloads/key_blocks.h"

namespace spillway::cli {

namespace {

constexpr std::int64_t kLargestExtent = (std::int64_t{1} << 31) - 1;

[[noreturn]] void bad_shape(const std::string& text, const std::string& why) {
  throw Error(ErrorKind::kBadInput, Place{}, fmt::format("--shape '{}': {}", text, why),
              "--shape input:1x3x224x224 binds a whole input, --shape batch=2 a named dimension");
}

std::int64_t parse_extent(const std::string& text, std::string_view number) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc{} || end != number.data() + number.size()) {
    bad_shape(text, fmt::format("'{}' is not a whole number", number));
  }
  if (value < 1 || value > kLargestExtent) {
    bad_shape(text, fmt::format("the extent {} is not in 1..{}", number, kLargestExtent));
  }
  return value;
}

}  // namespace

void check_choice(const std::string& flag, const std::string& value, const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  const std::string nearest = nearest_name(value, choices);
  throw Error(ErrorKind::kBadInput, Place{}, fmt::format("{} '{}': unknown", flag, value),
              nearest.empty() ? fmt::format("one of: {}", fmt::join(choices, ", "))
                              : fmt::format("did you mean '{}'? One of: {}", nearest, fmt::join(choices, ", ")));
}

void NpuFlags::add_to(CLI::App& verb) {
  add_value(verb, "--npu", npu, "preset name, or a YAML file", npu, "edge-8mb-slow");
  add_overrides_to(verb);
}

void NpuFlags::add_overrides_to(CLI::App& verb) {
  add_value(verb, "--sram", sram, "scratchpad size with its unit, as --set scratchpad.size has it", "the preset's",
            "8MiB");
  add_values(verb, "--set", sets, "override one config field: key.path=value, units in the value", "none",
             "dram.channels=2");
  add_value(verb, "--precision", precision,
            "of all tensor classes: int8, w8a16 (int8 weights), int16, fp16, bf16, fp8 or fp32", "the preset's",
            "fp16");
}

configs::NpuConfig NpuFlags::load(const std::vector<std::string>& more) const {
  std::vector<std::string> overrides = sets;
  if (!sram.empty()) {
    // Checked here so that the message names the flag that was typed.
    const configs::Bytes size = configs::parse_bytes(sram, "--sram");
    overrides.push_back(fmt::format("scratchpad.size={}B", size));
  }
  if (!precision.empty()) {
    (void)configs::uniform_precision(precision);
    overrides.push_back("precision=" + precision);
  }
  overrides.insert(overrides.end(), more.begin(), more.end());
  return configs::load_config(npu, overrides);
}

void ModelFlags::add_to(CLI::App& verb) {
  add_argument(
      verb, "TARGET", target,
      "zoo model, zoo graph (sd15/unet), ONNX file, or a folder with text_encoder/model.onnx, unet/model.onnx, "
      "vae_encoder/model.onnx, vae_decoder/model.onnx",
      "sd15");
  add_values(verb, "--shape", shapes,
             "bind an input (sample:2x4x64x64) or a named dimension (batch=2) of an ONNX file; unet/batch=2 for one "
             "graph of a folder",
             "the file's", "input:1x3x224x224");
  add_values(verb, "--value", given,
             "integer or flag (0, 1) of an ONNX file's input of one element, where it decides an If", "none",
             "sr=16000");
  add_value(verb, "--batch", batch,
            "images at once for a pipeline (its U-Net gets two rows an image with guidance); batch of a single graph",
            "1, a single U-Net 2", "4");
  add_value(verb, "--image", image, "pixels per side", "the model's", "768");
  add_value(verb, "--sequence", sequence, "tokens", "the model's", "77");
  add_value(verb, "--seed", seed, "of generated weights and inputs", std::to_string(seed), "7");
}

namespace {

partitioner::Wish wish_named(const std::string& word) {
  using partitioner::Wish;
  for (const Wish wish : {Wish::kHold, Wish::kSpill, Wish::kRecompute}) {
    if (word == partitioner::name_of(wish)) return wish;
  }
  return Wish::kAuto;
}

/// "hold TENSOR" a line; empty lines and those that begin with # say nothing.
std::map<std::string, partitioner::Wish> read_fates(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw Error(ErrorKind::kBadInput, Place{.file = file}, "cannot be read", "check the path");
  std::map<std::string, partitioner::Wish> fates;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] == '#') continue;
    const std::size_t end = line.find_first_of(" \t", begin);
    const std::string word = line.substr(begin, end == std::string::npos ? end : end - begin);
    const std::size_t name = end == std::string::npos ? end : line.find_first_not_of(" \t", end);
    const Place place{.file = file, .line = number};
    const partitioner::Wish wish = wish_named(word);
    if (wish == partitioner::Wish::kAuto || name == std::string::npos) {
      throw Error(ErrorKind::kBadInput, place, "'" + line.substr(0, 80) + "' is not a fate and a tensor",
                  "hold TENSOR, spill TENSOR or recompute TENSOR");
    }
    const std::string tensor = line.substr(name, line.find_last_not_of(" \t") + 1 - name);
    if (!fates.try_emplace(tensor, wish).second) {
      throw Error(ErrorKind::kBadInput, place, "'" + tensor + "' has a fate already", "keep one line for each tensor");
    }
  }
  return fates;
}

}  // namespace

void PlanFlags::add_to(CLI::App& verb) {
  add_value(verb, "--strategy", strategy, "fused or layer-by-layer", strategy, "layer-by-layer");
  add_value(verb, "--objective", objective, "latency, moves (all DRAM bytes), energy, or edp (energy times delay)",
            objective, "moves");
  add_value(
      verb, "--skips", skips,
      "what becomes of skip connections where it is possible: auto, hold (in the scratchpad), spill (through DRAM) "
      "or recompute",
      skips, "spill");
  add_value(verb, "--fates-from", fates_file,
            "file with a line 'hold TENSOR', 'spill TENSOR' or 'recompute TENSOR' each; what cannot be is an error",
            "none", "fates.txt");
  add_value(verb, "--attention", attention,
            "fused (blocks of queries, scores stay in the scratchpad), sliced (whole score matrices, a head at a time, "
            "where one fits) or unfused (scores are a tensor like any other)",
            attention, "unfused");
  add_value(verb, "--key-blocks", key_blocks,
            "attentions in so many blocks of keys, the softmax put together from theirs; 1: never",
            "where keys and values take over half the scratchpad and it is better", "4");
  add_value(verb, "--recompute-max", recompute_limit,
            "most MACs that recomputing may add, in percent of the graph's, unless it is wished for", "1", "5");
  add_switch(verb, "--slices", slices,
             "consider groups that run once for each of the batch from the start, not only among near ties "
             "(planning takes longer)");
}

partitioner::Options PlanFlags::options() const {
  check_choice("--strategy", strategy, {"fused", "layer-by-layer"});
  check_choice("--objective", objective, {"latency", "moves", "energy", "edp"});
  check_choice("--attention", attention, {"fused", "sliced", "unfused"});
  check_choice("--skips", skips, {"auto", "hold", "spill", "recompute"});
  if (!(recompute_limit >= 0 && recompute_limit <= 1000)) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--recompute-max"},
                fmt::format("{} is not a share of 0 to 1000 percent", recompute_limit), "--recompute-max 1");
  }
  if (key_blocks < 0 || key_blocks > workloads::kMostKeyBlocks) {
    throw Error(ErrorKind::kBadInput, Place{.key = "--key-blocks"},
                fmt::format("{} is not a number of blocks from 1 to {}", key_blocks, workloads::kMostKeyBlocks),
                "--key-blocks 4");
  }
  if (strategy != "fused" && (skips != "auto" || attention != "fused" || !fates_file.empty() || slices)) {
    throw Error(
        ErrorKind::kBadInput, Place{.key = "--strategy"},
        "--skips, --attention, --fates-from and --slices choose among fused plans, and layer-by-layer has its own rule",
        "leave out --strategy");
  }
  partitioner::Options options;
  options.strategy = strategy == "fused" ? partitioner::Strategy::kFused : partitioner::Strategy::kLayerByLayer;
  options.objective = *std::find_if(partitioner::kObjectives.begin(), partitioner::kObjectives.end(),
                                    [&](partitioner::Objective o) { return partitioner::name_of(o) == objective; });
  options.skips = wish_named(skips);
  if (!fates_file.empty()) options.tensors = read_fates(fates_file);
  options.recompute_limit = recompute_limit / 100;
  options.slices = slices;
  options.key_blocks = key_blocks;
  if (attention == "sliced") options.attention = partitioner::Attention::kSliced;
  if (attention == "unfused") options.attention = partitioner::Attention::kUnfused;
  return options;
}

void FormatFlag::add_to(CLI::App& verb) {
  add_value(verb, "--format", format, "of what is printed: table or json", format, "json");
}

void FormatFlag::check() const { check_choice("--format", format, {"table", "json"}); }

ShapeFlag parse_shape(const std::string& text) {
  ShapeFlag flag{.text = text};
  // Input names may hold ':' and '/', extents hold neither: the last separator counts.
  const std::size_t colon = text.find_last_of(':');
  const std::size_t equals = text.find_last_of('=');
  flag.whole = colon != std::string::npos && (equals == std::string::npos || colon > equals);
  const std::size_t at = flag.whole ? colon : equals;
  if (at == std::string::npos) bad_shape(text, "neither input:AxBxC nor dimension=N");
  flag.name = text.substr(0, at);
  for (const char* part : {"text_encoder/", "text_encoder_2/", "unet/", "vae_encoder/", "vae_decoder/"}) {
    if (!flag.name.starts_with(part)) continue;
    flag.part = std::string(part).substr(0, std::string(part).size() - 1);
    flag.name = flag.name.substr(flag.part.size() + 1);
    break;
  }
  if (flag.name.empty()) bad_shape(text, "the name is missing");
  std::string_view rest = std::string_view(text).substr(at + 1);
  while (true) {
    const std::size_t x = flag.whole ? rest.find('x') : std::string_view::npos;
    flag.shape.push_back(parse_extent(text, rest.substr(0, x)));
    if (x == std::string_view::npos) break;
    rest = rest.substr(x + 1);
  }
  return flag;
}

}  // namespace spillway::cli
