// Program files: magic, version, length and checksum of the payload, payload (byte_stream.h). Loading trusts nothing:
// every count, id and range is checked here or in program_validation.cpp, so that no later stage needs to.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "configs/error.h"
#include "partitioner/byte_stream.h"
#include "partitioner/graph_io.h"
#include "partitioner/program.h"
#include "partitioner/program_validation.h"

namespace spillway::partitioner {

namespace {

constexpr std::string_view kMagic = "SPWYPROG";
constexpr std::uint64_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 32;  // magic, version, payload bytes, checksum: eight bytes each

constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMaxUint16 = std::numeric_limits<std::uint16_t>::max();
constexpr std::int64_t kMaxUint32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t kMaxQueues = 1024;

/// FNV-1a, 64 bits (Fowler, Noll, Vo): finds accidental damage; it is no protection against a forger.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : bytes) hash = (hash ^ static_cast<std::uint8_t>(c)) * 1099511628211ULL;
  return hash;
}

void put_u64(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t get_u64(std::string_view bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

// --- records, both ways ---

template <typename A, typename T>
void format_field(A& a, T& format) {
  a.number(format, 0, configs::kFormatCount - 1);
}

template <typename A, typename T>
void box_fields(A& a, T& box) {
  a.number(box.rank, 0, kMaxRank);
  for (int d = 0; d < box.rank; ++d) {
    a.number(box.begin[d], 0, kMaxInt32);
    a.number(box.extent[d], 0, kMaxInt32 - box.begin[d]);
  }
}

template <typename A, typename T>
void storage_fields(A& a, T& storage) {
  a.text(storage.name);
  a.number(storage.storage_class, 0, kStorageClassCount - 1);
  format_field(a, storage.format);
  a.number(storage.rank, 0, kMaxRank);
  for (int f = 0; f < storage.rank; ++f) a.number(storage.extent[f], 1, kMaxInt32);
  a.number(storage.root, 0, kMaxInt32);
  a.flag(storage.is_input);
  a.flag(storage.is_output);
  a.number(storage.dram_address, 0, kMaxInt64);
}

template <typename A, typename T>
void layout_fields(A& a, T& layout) {
  a.list(layout.storages, 9, [&](auto& storage) { storage_fields(a, storage); });
  a.list(layout.views, 2, [&](auto& view) {
    a.number(view.storage, kNone, kMaxInt32);
    a.list(view.dims, 1, [&](auto& dim) {
      a.list(dim, 3, [&](auto& ref) {
        a.number(ref.factor, 0, kMaxRank - 1);
        a.number(ref.offset, 0, kMaxInt32);
        a.number(ref.extent, 1, kMaxInt32);
      });
    });
  });
  if constexpr (A::kReads) {
    a.list(layout.is_view_node, 1, [&](bool& view) { a.flag(view); });
  } else {
    a.list(layout.is_view_node, 1, [&](bool view) { a.flag(view); });
  }
}

template <typename A, typename T>
void kernel_fields(A& a, T& kernel) {
  a.list(kernel.steps, 2, [&](auto& step) {
    a.number(step.node, 0, kMaxInt32);
    a.list(step.inputs, 3, [&](auto& input) {
      a.number(input.from, 0, static_cast<std::int64_t>(KernelInput::From::kStep));
      a.number(input.index, 0, kMaxInt32);
      a.number(input.tensor, kNone, kMaxInt32);
    });
  });
  a.list(kernel.outputs, 2, [&](auto& output) {
    a.number(output.step, 0, kMaxInt32);
    a.number(output.operand, 0, kMaxInt32);
  });
  a.flag(kernel.drain);
}

template <typename A, typename T>
void command_fields(A& a, T& c) {
  a.number(c.kind, 0, kCommandKindCount - 1);
  a.number(c.queue, 0, kMaxQueues);
  a.number(c.group, 0, kMaxInt32);
  a.number(c.kernel, kNone, kMaxInt32);
  a.number(c.first_operand, 0, kMaxUint32);
  a.number(c.first_wait, 0, kMaxUint32);
  a.number(c.first_box, 0, kMaxUint32);
  a.number(c.operands, 0, kMaxUint16);
  a.number(c.waits, 0, kMaxUint16);
  a.number(c.boxes, 0, kMaxUint16);
  a.number(c.prior, 0, kMaxInt64);
  for (auto* extent : {&c.matrix.m, &c.matrix.n, &c.matrix.k, &c.matrix.batch}) a.number(*extent, 0, kMaxInt64);
  for (auto& work : c.vector) a.number(work, 0, kMaxInt64);
}

template <typename A, typename T>
void operand_fields(A& a, T& operand) {
  a.number(operand.storage, 0, kMaxInt32);
  a.number(operand.space, 0, static_cast<std::int64_t>(Space::kAccumulator));
  a.number(operand.engine, 0, std::numeric_limits<std::int8_t>::max());
  format_field(a, operand.format);
  box_fields(a, operand.box);
  a.number(operand.at.origin, std::numeric_limits<std::int64_t>::min(), kMaxInt64);
  for (int f = 0; f < operand.box.rank; ++f) a.number(operand.at.stride[f], 0, kMaxInt64);
}

template <typename A, typename T>
void program_fields(A& a, T& p) {
  for (auto* format : {&p.precision.weight, &p.precision.activation, &p.precision.accumulator, &p.precision.parameter,
                       &p.precision.vector}) {
    format_field(a, *format);
  }
  for (auto* count : {&p.queues.dma, &p.queues.matrix, &p.queues.vector}) a.number(*count, 1, kMaxQueues / 4);
  for (auto* bytes : {&p.scratchpad_bytes, &p.accumulator_bytes, &p.dram_bytes}) a.number(*bytes, 0, kMaxInt64);
  layout_fields(a, p.layout);
  a.list(p.group_names, 1, [&](auto& name) { a.text(name); });
  a.list(p.kernels, 3, [&](auto& kernel) { kernel_fields(a, kernel); });
  a.list(p.commands, 15 + configs::kVectorOpCount, [&](auto& command) { command_fields(a, command); });
  a.list(p.operand_pool, 6, [&](auto& operand) { operand_fields(a, operand); });
  a.list(p.wait_pool, 2, [&](auto& wait) {
    a.number(wait.queue, 0, kMaxQueues);
    a.number(wait.count, 0, kMaxInt32);
  });
  a.list(p.box_pool, 1, [&](auto& box) { box_fields(a, box); });
}

// --- files ---

[[noreturn]] void cannot_write(const std::string& path, int error) {
  throw Error(ErrorKind::kBadInput, Place{.file = path}, fmt::format("cannot write: {}", std::strerror(error)),
              "choose a folder that exists, is writable and has room");
}

/// Writes all or nothing: a temporary file beside the target, flushed, then renamed over it.
void write_atomically(const std::string& path, const std::array<std::string_view, 2>& parts) {
  std::string temporary = path + ".XXXXXX";
  const int file = ::mkstemp(temporary.data());
  if (file < 0) cannot_write(path, errno);
  const auto fail = [&](int error) {
    ::unlink(temporary.c_str());
    cannot_write(path, error);
  };
  for (std::string_view rest : parts) {
    while (!rest.empty()) {
      const ssize_t written = ::write(file, rest.data(), rest.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        const int error = errno;
        ::close(file);
        fail(error);
      }
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  const int synced = ::fchmod(file, 0644) == 0 && ::fsync(file) == 0 ? 0 : errno;
  const int closed = ::close(file) == 0 ? 0 : errno;
  if (synced != 0 || closed != 0) fail(synced != 0 ? synced : closed);
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail(errno);
}

std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorKind::kBadInput, Place{.file = path}, "cannot open the file", "check the path");
  std::string bytes;
  std::vector<char> block(1 << 20);
  do {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    bytes.append(block.data(), static_cast<std::size_t>(file.gcount()));
  } while (file);
  // Reading on beyond the end is no trouble; a folder or a broken disk is.
  if (file.bad()) throw Error(ErrorKind::kBadInput, Place{.file = path}, "cannot read the file", "check the path");
  return bytes;
}

std::string_view payload_of(std::string_view bytes, const std::string& path) {
  const auto bad = [&](const std::string& problem, const std::string& help) {
    throw Error(ErrorKind::kBadInput, Place{.file = path}, problem, help);
  };
  const std::string again = "write it again with this version";
  if (!bytes.starts_with(kMagic)) bad("not a Program file", "Program files are written by save_program");
  if (bytes.size() < kHeaderBytes) {
    bad(fmt::format("the file has {} bytes when its header alone has {}", bytes.size(), kHeaderBytes), again);
  }
  if (const auto version = get_u64(bytes, 8); version != kVersion) {
    bad(fmt::format("the file has version {} when this build reads version {}", version, kVersion), again);
  }
  const std::string_view payload = bytes.substr(kHeaderBytes);
  if (const auto size = get_u64(bytes, 16); size != payload.size()) {
    bad(fmt::format("the file holds {} bytes when its header says {}", payload.size(), size), again);
  }
  if (checksum(payload) != get_u64(bytes, 24)) bad("the checksum does not match: the file is damaged", again);
  return payload;
}

}  // namespace

void save_program(const Program& program, const std::string& path) {
  ByteWriter out;
  out.text(program.name);
  write_graph(out, program.graph);
  program_fields(out, program);
  std::string header{kMagic};
  put_u64(header, kVersion);
  put_u64(header, out.bytes().size());
  put_u64(header, checksum(out.bytes()));
  write_atomically(path, {header, out.bytes()});
}

Program load_program(const std::string& path) {
  const std::string bytes = read_whole(path);
  ByteReader in(payload_of(bytes, path), path);
  Program program;
  in.text(program.name);
  program.graph = read_graph(in);
  program_fields(in, program);
  if (in.remaining() > 0) in.bad(fmt::format("{} bytes follow the last record", in.remaining()));
  try {
    validate_references(program);
  } catch (const Error& error) {
    throw error.within(Place{.file = path});
  }
  return program;
}

}  // namespace spillway::partitioner
