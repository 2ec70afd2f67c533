# Writes OUTPUT, a C++ file that holds the text of every preset.
#   cmake -DOUTPUT=presets.cpp -DFILES="a.yaml|b.yaml" -P embed_presets.cmake
string(REPLACE "|" ";" files "${FILES}")
set(rows "")
foreach(file IN LISTS files)
  get_filename_component(name "${file}" NAME_WE)
  file(READ "${file}" text)
  string(LENGTH "${text}" length)
  if(length GREATER 16000)
    message(FATAL_ERROR "${file}: ${length} bytes; a string literal of a preset is kept under 16000")
  endif()
  string(APPEND rows "    {\"${name}\", R\"~yaml~(${text})~yaml~\"},\n")
endforeach()
file(WRITE "${OUTPUT}.new" "// Written by configs/embed_presets.cmake from configs/presets/*.yaml.
#include \"configs/presets.h\"

namespace spillway::configs {
namespace {
constexpr Preset kPresets[] = {
${rows}};
}  // namespace

std::span<const Preset> embedded_presets() { return kPresets; }

}  // namespace spillway::configs
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
