# Operators and the reference executor: one line a file.
spillway_test(workloads_operator_tests
  SOURCES
    cpu_test.cpp
    elementwise_test.cpp
    canonical_test.cpp
    canonical_exports_test.cpp
    canonical_random_test.cpp
    matrix_test.cpp
    narrow_test.cpp
    normalisation_test.cpp
    reduce_test.cpp
    window_test.cpp
    einsum_test.cpp
    recurrent_test.cpp
    integer_operators_test.cpp
    quantisation_test.cpp
    move_test.cpp
    shape_test.cpp
    region_property_test.cpp
    exact_types_test.cpp
    execute_test.cpp
    exact_grid_test.cpp
    key_blocks_test.cpp
    golden_test.cpp
  LIBS spillway::workloads)
