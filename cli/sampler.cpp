#include "cli/sampler.h"

#include <memory>
#include <utility>

namespace spillway::cli {

namespace {

using workloads::Graph;
using workloads::HostTensor;
using workloads::Node;
using workloads::Shape;
using workloads::Tensor;
using workloads::TensorId;

class Builder {
 public:
  explicit Builder(Graph& graph) : graph_(graph) {}

  TensorId tensor(const std::string& name, const Shape& shape) {
    graph_.tensors.push_back(Tensor{.name = name, .shape = shape});
    return static_cast<TensorId>(graph_.tensors.size() - 1);
  }
  TensorId input(const std::string& name, const Shape& shape) {
    graph_.inputs.push_back(tensor(name, shape));
    return graph_.inputs.back();
  }
  TensorId scalar(const std::string& name, float value) {
    const TensorId id = tensor(name, {});
    auto host = std::make_shared<HostTensor>();
    host->data = std::vector<float>{value};
    graph_.tensors[id].constant = workloads::Constant{std::shared_ptr<const HostTensor>(std::move(host))};
    return id;
  }
  TensorId node(const std::string& op, const std::string& name, std::vector<TensorId> inputs, const Shape& shape) {
    const TensorId out = tensor(name, shape);
    Node n;
    n.name = name;
    n.op = op;
    n.inputs = std::move(inputs);
    n.outputs = {out};
    if (op == "Concat") n.attributes["axis"] = std::int64_t{0};
    graph_.nodes.push_back(std::move(n));
    return out;
  }

 private:
  Graph& graph_;
};

}  // namespace

Graph sampler_step(const Shape& latent, bool guidance) {
  Graph graph;
  graph.name = "sampler_step";
  graph.source = "sampler";
  graph.opset = 14;
  Builder build(graph);
  const TensorId x = build.input("latent", latent);
  TensorId noise = workloads::kNone;
  if (guidance) {
    const TensorId u = build.input("noise_unconditional", latent);
    const TensorId c = build.input("noise_conditional", latent);
    const TensorId difference = build.node("Sub", "guidance_difference", {c, u}, latent);
    const TensorId scaled = build.node("Mul", "guidance_scaled", {difference, build.scalar("scale", 7.5F)}, latent);
    noise = build.node("Add", "noise_guided", {u, scaled}, latent);
  } else {
    noise = build.input("noise", latent);
  }
  // The values of a and b change with the step; the arithmetic does not.
  const TensorId kept = build.node("Mul", "latent_kept", {x, build.scalar("a", 1.01F)}, latent);
  const TensorId removed = build.node("Mul", "noise_removed", {noise, build.scalar("b", -0.1F)}, latent);
  const TensorId next = build.node("Add", guidance ? "next" : "next_latent", {kept, removed}, latent);
  if (guidance) {
    Shape rows = latent;
    rows.front() *= 2;
    graph.outputs = {build.node("Concat", "next_latent", {next, next}, rows)};
  } else {
    graph.outputs = {next};
  }
  workloads::connect(graph);
  return graph;
}

}  // namespace spillway::cli
