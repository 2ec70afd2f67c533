// TensorProto to Constant. Nothing in it is trusted: sizes are checked against each other and against the files.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "workloads/graph.h"
#include "workloads/onnx/onnx_proto.h"

namespace spillway::workloads {

/// Refuses what no stage can hold: rank over kMaxRank, a negative extent or one over 2^31 - 1, over 2^40 elements.
void check_shape(const Shape& shape);

/// The files that hold a model's external data: opened once, confined to the model's folder.
class ExternalFiles {
 public:
  /// An empty `folder` holds no files: everything external is missing.
  explicit ExternalFiles(std::string folder) : folder_(std::move(folder)) {}

  /// nullptr if the file is absent. Throws Error(kBadInput) if `location` leads out of the folder, links included.
  [[nodiscard]] std::shared_ptr<const MappedFile> open(const std::string& location);

  /// Remembers that `bytes` of an absent file would have been read.
  void note_missing(const std::string& location, std::int64_t bytes);
  /// One sentence for each absent file.
  [[nodiscard]] std::vector<std::string> warnings() const;

 private:
  struct Absent {
    std::int64_t tensors = 0;
    std::int64_t bytes = 0;
  };
  std::string folder_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
  std::map<std::string, Absent> absent_;
};

struct ReadTensor {
  DataType type = DataType::kFloat32;
  Shape shape;
  Constant constant;
};

/// Empties `tensor` of the data that it copies. Throws Error(kBadInput) without the tensor's name: the caller adds it.
[[nodiscard]] ReadTensor read_tensor(onnx::TensorProto& tensor, ExternalFiles& files);

}  // namespace spillway::workloads
