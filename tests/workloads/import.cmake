find_package(nlohmann_json REQUIRED)
spillway_test(workloads_import_tests
  SOURCES
    graph_test.cpp
    calibration_test.cpp
    constants_test.cpp
    import_test.cpp
    import_errors_test.cpp
    external_data_test.cpp
    dynamic_shapes_test.cpp
    folding_test.cpp
    regressions_test.cpp
    statistics_test.cpp
    npy_test.cpp
    conditional_test.cpp
    quantised_functions_test.cpp
    runtime_shapes_test.cpp
    tensor_files_test.cpp
    number_formats_test.cpp
  LIBS spillway::workloads onnx_proto protobuf::libprotobuf nlohmann_json::nlohmann_json)
