# Operators and the reference executor: one line a file.
spillway_test(workloads_operator_tests
  SOURCES
    elementwise_test.cpp
    canonical_test.cpp
    canonical_exports_test.cpp
    move_test.cpp
    shape_test.cpp
    region_property_test.cpp
  LIBS spillway::workloads)
