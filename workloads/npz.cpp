// NumPy's .npz: a ZIP archive (PKWARE APPNOTE 6.3) of .npy files, stored or deflated. Sizes in it are checked against
// the file before memory is asked for, and contents against their checksums.
#include <fmt/format.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <span>
#include <system_error>

#include "configs/error.h"
#include "workloads/npy.h"
#include "workloads/onnx/mapped_file.h"
#include "workloads/onnx/text.h"
#include "workloads/workloads.h"

namespace spillway::workloads {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kLocalHeader = 0x04034B50, kCentralHeader = 0x02014B50, kEnd = 0x06054B50, kEnd64 = 0x06064B50,
                        kEnd64Locator = 0x07064B50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr std::uint16_t kStored = 0, kDeflated = 8;
constexpr std::uint64_t kIn64 = 0xFFFFFFFF;  ///< the real value is in a 64-bit field elsewhere

[[noreturn]] void bad(const std::string& problem) { throw Error(ErrorKind::kBadInput, Place{}, problem); }

/// Little-endian; throws beyond the end of the file.
template <typename T>
T read(Bytes bytes, std::uint64_t at) {
  if (at > bytes.size() || sizeof(T) > bytes.size() - at) bad("is a truncated .npz file");
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

Bytes part(Bytes bytes, std::uint64_t at, std::uint64_t count) {
  if (at > bytes.size() || count > bytes.size() - at) bad("is a truncated .npz file");
  return bytes.subspan(at, count);
}

struct Entry {
  std::string name;
  std::uint16_t method = kStored;
  std::uint32_t checksum = 0;
  std::uint64_t packed = 0, size = 0, header = 0;
};

struct Directory {
  std::uint64_t at = 0, entries = 0;
};

Directory find_directory(Bytes file) {
  if (file.size() < kEndSize) bad("is not a .npz file");
  constexpr std::size_t kLongestComment = 0xFFFF;
  const std::size_t first = file.size() - kEndSize > kLongestComment ? file.size() - kEndSize - kLongestComment : 0;
  for (std::size_t at = file.size() - kEndSize + 1; at-- > first;) {
    if (read<std::uint32_t>(file, at) != kEnd) continue;
    Directory found{read<std::uint32_t>(file, at + 16), read<std::uint16_t>(file, at + 10)};
    const bool in_64 = found.at == kIn64 || found.entries == 0xFFFF;
    if (in_64 && at >= kLocatorSize && read<std::uint32_t>(file, at - kLocatorSize) == kEnd64Locator) {
      const auto end = read<std::uint64_t>(file, at - kLocatorSize + 8);
      static_cast<void>(part(file, end, kEnd64Size));
      if (read<std::uint32_t>(file, end) != kEnd64) bad("has a malformed .npz directory");
      found = {read<std::uint64_t>(file, end + 48), read<std::uint64_t>(file, end + 32)};
    }
    return found;
  }
  bad("is not a .npz file: it has no ZIP directory");
}

/// Fields that do not fit 32 bits, in the order that the specification gives.
void read_zip64(Bytes extra, Entry& entry) {
  for (std::uint64_t at = 0; at + 4 <= extra.size();) {
    const auto id = read<std::uint16_t>(extra, at);
    const auto length = read<std::uint16_t>(extra, at + 2);
    if (id == 1) {
      Bytes field = part(extra, at + 4, length);
      for (std::uint64_t* value : {&entry.size, &entry.packed, &entry.header}) {
        if (*value != kIn64) continue;
        *value = read<std::uint64_t>(field, 0);
        field = field.subspan(8);
      }
      return;
    }
    at += 4 + std::uint64_t{length};
  }
}

std::vector<Entry> read_directory(Bytes file) {
  const Directory directory = find_directory(file);
  std::vector<Entry> entries;
  std::uint64_t at = directory.at;
  for (std::uint64_t k = 0; k < directory.entries; ++k) {
    if (read<std::uint32_t>(file, at) != kCentralHeader) bad("has a malformed .npz directory");
    static_cast<void>(part(file, at, kCentralSize));
    Entry entry;
    const auto flags = read<std::uint16_t>(file, at + 8);
    entry.method = read<std::uint16_t>(file, at + 10);
    entry.checksum = read<std::uint32_t>(file, at + 16);
    entry.packed = read<std::uint32_t>(file, at + 20);
    entry.size = read<std::uint32_t>(file, at + 24);
    entry.header = read<std::uint32_t>(file, at + 42);
    const auto name_length = read<std::uint16_t>(file, at + 28);
    const auto extra_length = read<std::uint16_t>(file, at + 30);
    const auto comment_length = read<std::uint16_t>(file, at + 32);
    const Bytes name = part(file, at + kCentralSize, name_length);
    entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
    check_text(entry.name, "an array name");
    read_zip64(part(file, at + kCentralSize + name_length, extra_length), entry);
    if ((flags & 1U) != 0) bad(fmt::format("has the encrypted entry '{}'", entry.name));
    if (entry.method != kStored && entry.method != kDeflated) {
      bad(fmt::format("has the entry '{}' packed by method {} when stored and deflated are supported", entry.name,
                      entry.method));
    }
    entries.push_back(std::move(entry));
    at += kCentralSize + std::uint64_t{name_length} + extra_length + comment_length;
  }
  return entries;
}

std::vector<std::byte> inflated(Bytes packed, const Entry& entry) {
  constexpr std::uint64_t kMostRatio = 1032;  // of the deflate format
  if (entry.size / kMostRatio > packed.size() + 1) {
    bad(fmt::format("has the entry '{}' of {} bytes packed into {}, which is too few", entry.name, entry.size,
                    packed.size()));
  }
  constexpr std::uint64_t kMost = std::numeric_limits<uInt>::max();
  if (entry.size > kMost || packed.size() > kMost) {
    bad(fmt::format("has the deflated entry '{}' of over 4 GiB: store it without compression", entry.name));
  }
  std::vector<std::byte> result(entry.size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) internal_error("zlib cannot be initialised");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  const int state = inflate(&stream, Z_FINISH);
  const bool whole = state == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) bad(fmt::format("has the entry '{}', whose compressed data is damaged", entry.name));
  return result;
}

HostTensor read_entry(Bytes file, const Entry& entry) {
  static_cast<void>(part(file, entry.header, kLocalSize));
  if (read<std::uint32_t>(file, entry.header) != kLocalHeader) bad("has a malformed .npz entry");
  const std::uint64_t data = entry.header + kLocalSize + read<std::uint16_t>(file, entry.header + 26) +
                             std::uint64_t{read<std::uint16_t>(file, entry.header + 28)};
  Bytes bytes = part(file, data, entry.packed);
  std::vector<std::byte> unpacked;
  if (entry.method == kDeflated) {
    unpacked = inflated(bytes, entry);
    bytes = unpacked;
  }
  if (crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()) != entry.checksum) {
    bad(fmt::format("has the entry '{}', which does not match its checksum", entry.name));
  }
  try {
    return parse_npy(bytes);
  } catch (const Error& error) {
    throw error.within(Place{.tensor = entry.name});
  }
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

/// What local and central headers have in common, from "version needed" to the name's length.
void put_common(std::string& out, const Entry& entry) {
  constexpr std::uint16_t kVersion = 20, kUtf8 = 0x0800;
  put<std::uint16_t>(out, kVersion);
  put<std::uint16_t>(out, kUtf8);
  put<std::uint16_t>(out, kStored);
  put<std::uint16_t>(out, 0);       // time
  put<std::uint16_t>(out, 0x0021);  // 1980-01-01: the same tensors give the same file
  put<std::uint32_t>(out, entry.checksum);
  put<std::uint32_t>(out, static_cast<std::uint32_t>(entry.size));
  put<std::uint32_t>(out, static_cast<std::uint32_t>(entry.size));
  put<std::uint16_t>(out, static_cast<std::uint16_t>(entry.name.size()));
  put<std::uint16_t>(out, 0);  // no extra field
}

}  // namespace

TensorMap load_npz(const std::string& path) {
  const auto file = MappedFile::open(path);
  try {
    TensorMap tensors;
    for (const Entry& entry : read_directory(file->bytes())) {
      if (!entry.name.ends_with(".npy")) continue;
      tensors[entry.name.substr(0, entry.name.size() - 4)] = read_entry(file->bytes(), entry);
    }
    return tensors;
  } catch (const Error& error) {
    throw error.within(Place{.file = path});
  }
}

void save_npz(const std::string& path, const TensorMap& tensors) {
  constexpr std::uint64_t kLargest = 0xFFFFFFFE;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  std::string directory;
  std::uint64_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::string bytes = npy_bytes(tensor);
    const auto checksum = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    const Entry entry{name + ".npy", kStored, static_cast<std::uint32_t>(checksum), bytes.size(), bytes.size(), at};
    if (at + bytes.size() > kLargest || entry.name.size() > 0xFFFF || tensors.size() > 0xFFFE) {
      throw Error(ErrorKind::kBadInput, Place{.file = path, .tensor = name}, "does not fit a .npz file of 4 GiB",
                  "write .npy files");
    }
    std::string header;
    put(header, kLocalHeader);
    put_common(header, entry);
    header += entry.name;
    put(directory, kCentralHeader);
    put<std::uint16_t>(directory, 20);  // made by
    put_common(directory, entry);
    put<std::uint16_t>(directory, 0);  // no comment
    put<std::uint16_t>(directory, 0);  // disk
    put<std::uint16_t>(directory, 0);  // internal attributes
    put<std::uint32_t>(directory, 0);  // external attributes
    put<std::uint32_t>(directory, static_cast<std::uint32_t>(at));
    directory += entry.name;
    out << header << bytes;
    at += header.size() + bytes.size();
  }
  const auto count = static_cast<std::uint16_t>(tensors.size());
  std::string end;
  put(end, kEnd);
  put<std::uint32_t>(end, 0);  // disks
  put(end, count);
  put(end, count);
  put<std::uint32_t>(end, static_cast<std::uint32_t>(directory.size()));
  put<std::uint32_t>(end, static_cast<std::uint32_t>(at));
  put<std::uint16_t>(end, 0);  // no comment
  out << directory << end;
  out.close();
  if (!out) {
    throw Error(ErrorKind::kBadInput, Place{.file = path},
                fmt::format("cannot be written: {}", std::generic_category().message(errno)));
  }
}

}  // namespace spillway::workloads
