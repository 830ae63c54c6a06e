# cmake -DCOMPILER=… -DSOURCE=a_nocompile.cc -DINCLUDE=DIR[;DIR…] -P nocompile.cmake
# Fails unless CASE 0 compiles and every other case is refused for the reason that the source expects.
file(STRINGS ${SOURCE} lines REGEX "// EXPECT [0-9]+: ")
list(LENGTH lines expected)
if(expected LESS 14)
  message(FATAL_ERROR "${SOURCE} expects ${expected} refusals: too few")
endif()

list(TRANSFORM INCLUDE PREPEND "-I" OUTPUT_VARIABLE includes)

function(compile case result output)
  execute_process(
    COMMAND ${COMPILER} -std=c++17 -fno-exceptions -fsyntax-only -fno-color-diagnostics
            ${includes} -DCASE=${case} ${SOURCE}
    RESULT_VARIABLE code ERROR_VARIABLE errors)
  set(${result} "${code}" PARENT_SCOPE)
  set(${output} "${errors}" PARENT_SCOPE)
endfunction()

compile(0 code errors)
if(NOT code STREQUAL "0")
  message(FATAL_ERROR "CASE 0, the right way, does not compile:\n${errors}")
endif()

foreach(line IN LISTS lines)
  string(REGEX MATCH "// EXPECT ([0-9]+): (.*)$" unused "${line}")
  set(case ${CMAKE_MATCH_1})
  set(diagnostic "${CMAKE_MATCH_2}")
  compile(${case} code errors)
  if(code STREQUAL "0")
    message(FATAL_ERROR "CASE ${case} compiles: what must not be possible is")
  endif()
  string(FIND "${errors}" "${diagnostic}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "CASE ${case} is refused for another reason than \"${diagnostic}\":\n${errors}")
  endif()
  message(STATUS "CASE ${case} is refused: ${diagnostic}")
endforeach()
