// Small ONNX models, built the way exporters build them, for tests to load or to break.
#pragma once

#include <onnx/onnx_pb.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "configs/error.h"
#include "tests/temporary_files.h"
#include "workloads/workloads.h"

namespace spillway::workloads::test {

struct ModelMaker {
  onnx::ModelProto model;
  onnx::GraphProto& graph = *model.mutable_graph();

  explicit ModelMaker(std::int64_t opset = 14) {
    model.set_ir_version(7);
    model.add_opset_import()->set_version(opset);
    graph.set_name("test");
  }

  static void declare(onnx::ValueInfoProto& info, const std::string& name, const std::vector<std::int64_t>& shape,
                      int type = onnx::TensorProto::FLOAT) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    tensor.mutable_shape();
    for (const auto extent : shape) tensor.mutable_shape()->add_dim()->set_dim_value(extent);
  }
  void input(const std::string& name, const std::vector<std::int64_t>& shape, int type = onnx::TensorProto::FLOAT) {
    declare(*graph.add_input(), name, shape, type);
  }
  /// Names for the dynamic extents; a number for a fixed one.
  void dynamic_input(const std::string& name, const std::vector<std::string>& extents) {
    declare(*graph.add_input(), name, {});
    auto& shape = *graph.mutable_input(graph.input_size() - 1)->mutable_type()->mutable_tensor_type()->mutable_shape();
    for (const auto& extent : extents) {
      if (!extent.empty() && extent.find_first_not_of("0123456789") == std::string::npos) {
        shape.add_dim()->set_dim_value(std::stoll(extent));
      } else if (extent.empty()) {
        shape.add_dim();
      } else {
        shape.add_dim()->set_dim_param(extent);
      }
    }
  }
  void output(const std::string& name) { graph.add_output()->set_name(name); }

  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const std::string& name = "") {
    auto& node = *graph.add_node();
    node.set_op_type(op);
    node.set_name(name.empty() ? op + "_of_" + (outputs.empty() ? "nothing" : outputs.front()) : name);
    for (const auto& i : inputs) node.add_input(i);
    for (const auto& o : outputs) node.add_output(o);
    return node;
  }

  static void fill(onnx::TensorProto& tensor, const std::vector<std::int64_t>& shape,
                   const std::vector<float>& values) {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const auto extent : shape) tensor.add_dims(extent);
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  }
  static void fill(onnx::TensorProto& tensor, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& values) {
    tensor.set_data_type(onnx::TensorProto::INT64);
    for (const auto extent : shape) tensor.add_dims(extent);
    tensor.set_raw_data(values.data(), values.size() * sizeof(std::int64_t));
  }
  template <typename T>
  void initializer(const std::string& name, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
    auto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    fill(tensor, shape, values);
  }
  template <typename T>
  void constant_node(const std::string& output, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
    auto& attribute = *node("Constant", {}, {output}).add_attribute();
    attribute.set_name("value");
    attribute.set_type(onnx::AttributeProto::TENSOR);
    fill(*attribute.mutable_t(), shape, values);
  }
  void external(const std::string& name, const std::vector<std::int64_t>& shape, const std::string& location,
                const std::string& offset, const std::string& length) {
    auto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const auto extent : shape) tensor.add_dims(extent);
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] : {std::pair{"location", location}, {"offset", offset}, {"length", length}}) {
      if (value.empty()) continue;
      auto& entry = *tensor.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
  }

  [[nodiscard]] std::string bytes() const { return model.SerializeAsString(); }
  [[nodiscard]] Graph load(const ShapeBindings& bindings = {}) const {
    return import_onnx_bytes(bytes(), "test.onnx", "", bindings);
  }
};

/// x [1, 4] -> Relu -> y
inline ModelMaker relu_model() {
  ModelMaker maker;
  maker.input("x", {1, 4});
  maker.node("Relu", {"x"}, {"y"}, "relu");
  maker.output("y");
  return maker;
}

/// The Error that `action` throws; fails the test if there is none.
template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    CHECK(error.kind() == ErrorKind::kBadInput);
    return error;
  }
  FAIL("no Error was thrown");
  throw std::logic_error("unreachable");
}

inline const std::string kShared = std::string(SPILLWAY_SOURCE_DIR) + "/../shared";

}  // namespace spillway::workloads::test
