find_package(nlohmann_json REQUIRED)
spillway_test(workloads_zoo_tests
  SOURCES zoo_test.cpp zoo_figures_test.cpp zoo_export_test.cpp zoo_run_test.cpp
  LIBS spillway::workloads nlohmann_json::nlohmann_json)
