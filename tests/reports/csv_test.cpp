// Do CSV tables read back as they were meant?
#include <catch2/catch.hpp>
#include <map>

#include "sample.h"

using namespace spillway;
using namespace spillway::reports;

namespace {

using Row = std::vector<std::string>;

/// An RFC 4180 reader, written for this test.
std::vector<Row> read_csv(const std::string& text) {
  std::vector<Row> rows;
  Row row;
  std::string field;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c != '"') {
        field += c;
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        field += '"', ++i;
      } else {
        quoted = false;
      }
    } else if (c == '"') {
      quoted = true;
    } else if (c == ',' || c == '\n') {
      row.push_back(field);
      field.clear();
      if (c == '\n') rows.push_back(std::exchange(row, {}));
    } else {
      field += c;
    }
  }
  CHECK_FALSE(quoted);
  return rows;
}

std::vector<std::map<std::string, std::string>> records(const std::string& text) {
  const auto rows = read_csv(text);
  REQUIRE_FALSE(rows.empty());
  std::vector<std::map<std::string, std::string>> result;
  for (std::size_t r = 1; r < rows.size(); ++r) {
    REQUIRE(rows[r].size() == rows[0].size());
    std::map<std::string, std::string> record;
    for (std::size_t c = 0; c < rows[r].size(); ++c) record[rows[0][c]] = rows[r][c];
    result.push_back(record);
  }
  return result;
}

}  // namespace

TEST_CASE("groups.csv: one row a group, names with commas, quotes and line breaks survive", "[reports][csv]") {
  const auto rows = records(groups_csv(test::sample_profile(), test::sample_npu()));
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].at("name") == test::kAwkwardName);
  CHECK(rows[0].at("operators") == "MatMul");
  CHECK(rows[0].at("critical_cycles") == "700");
  CHECK(rows[0].at("critical_share_percent") == "70.0000");
  CHECK(rows[0].at("weight_read_bytes") == "32");
  CHECK(rows[0].at("activation_written_bytes") == "8");
  CHECK(rows[0].at("moved_bytes") == "56");
  CHECK(rows[0].at("tile") == "1x4");
}

TEST_CASE("operators.csv: one row an executed node, with its exported origins", "[reports][csv]") {
  const auto rows = records(operators_csv(test::sample_profile()));
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].at("executed_as") == "matrix");
  CHECK(rows[0].at("exported_names") == test::kAwkwardName);
  CHECK(rows[0].at("operations") == "128");
  CHECK(rows[1].at("executed_as") == "vector");
  CHECK(rows[1].at("groups") == "1");
  CHECK(rows[1].at("vector_ops") == "16");
  CHECK(rows[2].at("executed_as") == "addressing");
  CHECK(rows[2].at("groups").empty());
  CHECK(rows[2].at("commands") == "0");
}

TEST_CASE("tensors.csv: one row a storage, with its home", "[reports][csv]") {
  const auto rows = records(tensors_csv(test::sample_profile()));
  REQUIRE(rows.size() == 4);
  CHECK(rows[1].at("name") == "w,eight");
  CHECK(rows[1].at("class") == "weight");
  CHECK(rows[1].at("bytes") == "32");
  CHECK(rows[1].at("produced_in_group").empty());
  CHECK(rows[1].at("read_bytes") == "32");
  CHECK(rows[2].at("produced_in_group") == "0");
  CHECK(rows[2].at("last_read_in_group") == "1");
  CHECK(rows[2].at("home") == "dram");
  CHECK(rows[3].at("output") == "yes");
}
