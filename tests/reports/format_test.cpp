// Is a number printed as it is, and do rounded parts still add up?
#include "reports/format.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <sstream>

#include "configs/error.h"

using namespace spillway::reports;

TEST_CASE("grouped digits", "[reports][format]") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1000) == "1 000");
  CHECK(grouped(3410220) == "3 410 220");
  CHECK(grouped(-1234567) == "-1 234 567");
}

TEST_CASE("decimal prefixes keep four significant digits", "[reports][format]") {
  CHECK(si(0, "B") == "0 B");
  CHECK(si(12, "B") == "12 B");
  CHECK(si(1593000000, "B") == "1.593 GB");
  CHECK(si(48.24e6, "B") == "48.24 MB");
  CHECK(si(999949, "B") == "999.9 kB");
  CHECK(si(999999, "B") == "1.000 MB");
  CHECK(si(803273441280.0, "MACs") == "803.3 GMACs");
  CHECK(si(0.0059, "J") == "5.900 mJ");
  CHECK(si(2.5, "") == "2.500");
}

TEST_CASE("binary sizes are exact where they are whole", "[reports][format]") {
  CHECK(binary_bytes(0) == "0 B");
  CHECK(binary_bytes(8 << 20) == "8 MiB");
  CHECK(binary_bytes(1912 * 1024) == "1 912 KiB");
  CHECK(binary_bytes(1000) == "1 000 B");
  CHECK(binary_bytes((1 << 20) + 1) == "1 024 KiB");
}

TEST_CASE("milliseconds", "[reports][format]") {
  CHECK(milliseconds(0.00341) == "3.410 ms");
  CHECK(milliseconds(1.2345678) == "1 234.6 ms");
  CHECK(milliseconds(0.000000123) == "0.000123 ms");
}

TEST_CASE("shares add up to 1000 per mille whatever the rounding", "[reports][format]") {
  // A third each: 333 + 333 + 333 would be 999.
  CHECK(permille({1, 1, 1}) == std::vector<int>{334, 333, 333});
  CHECK(permille({0, 0}) == std::vector<int>{0, 0});
  for (int seed = 1; seed < 101; ++seed) {
    std::vector<double> parts;
    for (int i = 0; i < 7; ++i) parts.push_back(static_cast<double>(seed * (i * 37 + 11) % 101));
    const auto shares = permille(parts);
    CHECK(std::accumulate(shares.begin(), shares.end(), 0) == 1000);
  }
}

TEST_CASE("rounded parts add up to the rounded total", "[reports][format]") {
  for (int seed = 1; seed < 200; ++seed) {
    std::vector<double> parts;
    for (int i = 0; i < 6; ++i) parts.push_back(static_cast<double>(seed * (i * 7919 + 13) % 10007) * 1e-7);
    const Parts rounded = rounded_parts(parts, "J");
    double sum = 0;
    for (const auto& part : rounded.parts) sum += std::stod(part);
    CHECK(sum == Approx(std::stod(rounded.total)).epsilon(1e-9));
  }
  CHECK(rounded_parts({25.5e6, 22.7e6}, "B").total == "48.20");
  CHECK(rounded_parts({25.5e6, 22.7e6}, "B").unit == "MB");
  CHECK(rounded_parts({0, 0}, "J").total == "0");
}

TEST_CASE("long names keep their ends", "[reports][format]") {
  CHECK(shortened("short", 20) == "short");
  const std::string name = "/down_blocks.0/resnets.1/conv1/Conv";
  const std::string cut = shortened(name, 20);
  CHECK(cut.size() == 20);
  CHECK(cut.substr(0, 9) == name.substr(0, 9));
  CHECK(cut.substr(11) == name.substr(name.size() - 9));
}

TEST_CASE("a table row of the wrong width is our bug", "[reports][format]") {
  Table table({{"a"}, {"b"}});
  CHECK_THROWS_AS(table.add({"1"}), spillway::Error);
  table.add({"10", "x"});
  std::ostringstream out;
  table.print(out, 2);
  CHECK(out.str() == "   a  b\n  10  x\n");
}

TEST_CASE("text is broken between phrases, else between words", "[reports][format]") {
  CHECK(wrapped("", 20) == std::vector<std::string>{""});
  CHECK(wrapped("short enough", 20) == std::vector<std::string>{"short enough"});
  CHECK(wrapped("padding 0.527, vector 7.6 and more", 20) ==
        std::vector<std::string>{"padding 0.527,", "vector 7.6 and more"});
  CHECK(wrapped("one two three four", 9) == std::vector<std::string>{"one two", "three", "four"});
  // Nothing to break at, and nothing lost.
  CHECK(wrapped("moves 1 234 567 B", 10) == std::vector<std::string>{"moves", "1 234 567", "B"});
  CHECK(wrapped("12 345 678 901 B", 8) == std::vector<std::string>{"12 345 678 901", "B"});
  CHECK(wrapped("group 12 345678 x", 10) == std::vector<std::string>{"group 12", "345678 x"});
  CHECK(wrapped(std::string(50, 'x') + " y", 20) == std::vector<std::string>{std::string(50, 'x'), "y"});
}

TEST_CASE("a labelled line keeps to the screen and to its column", "[reports][format]") {
  std::ostringstream out;
  std::string text;
  for (int i = 0; i < 40; ++i) text += (i == 0 ? "" : ", ") + std::to_string(100000 + i);
  print_labelled(out, "label", text);
  std::istringstream lines(out.str());
  std::string line, all;
  for (int n = 0; std::getline(lines, line); ++n) {
    CHECK(line.size() <= kScreenWidth);
    CHECK(line.substr(0, 15) == (n == 0 ? "  label        " : std::string(15, ' ')));
    all += (n == 0 ? "" : " ") + line.substr(15);
  }
  CHECK(all == text);
}

TEST_CASE("a table keeps to the screen: names are shortened, text is wrapped, numbers are whole", "[reports][format]") {
  using Align = Table::Align;
  const std::string name(100, 'n'), prose = "these are many words " + std::string(30, 'w') + " and some more of them";
  Table table({{"name", Align::kLeft}, {"number"}, {"what", Align::kText}});
  table.add({name, "1 234 567 890", prose});
  std::ostringstream out;
  table.print(out, 4);
  std::istringstream lines(out.str());
  std::string all;
  for (std::string line; std::getline(lines, line);) {
    CHECK(line.size() <= kScreenWidth);
    all += line + "\n";
  }
  CHECK(all.find("1 234 567 890") != std::string::npos);
  CHECK(all.find("nn..nn") != std::string::npos);
  Table numbers(std::vector<Table::Column>(9));
  numbers.add(std::vector<std::string>(9, "123 456 789 012"));
  std::ostringstream closed;
  numbers.print(closed, 0);
  CHECK(closed.str().find("123456789012  123456789012") != std::string::npos);
  for (const char* word : {"these", "many", "words", "some", "more", "them"})
    CHECK(all.find(word) != std::string::npos);
}
