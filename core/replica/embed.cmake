# embed.cmake - schema/device/*.sql as one C file, so that the library carries its migrations.
#
#   cmake -DOUT=<file.c> -DDIR=<schema/device> -P core/replica/embed.cmake
#
# Writes device_steps[], one text per file in the order of their numbers.
cmake_minimum_required(VERSION 3.25)

if(NOT OUT OR NOT DIR)
  message(FATAL_ERROR "usage: cmake -DOUT=<file.c> -DDIR=<schema/device> -P embed.cmake")
endif()
file(GLOB files "${DIR}/*.sql")
list(SORT files)
if(NOT files)
  message(FATAL_ERROR "no *.sql in ${DIR}: give the folder that holds the device's migrations")
endif()

set(texts "")
foreach(file IN LISTS files)
  file(READ "${file}" content HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${content}")
  set(byte "0x[0-9a-f][0-9a-f],")
  set(four "${byte}${byte}${byte}${byte}")
  string(REGEX REPLACE "(${four}${four}${four}${four})" "\\1\n" bytes "${bytes}")
  list(LENGTH texts number)
  list(APPEND texts "step_${number}")
  string(APPEND arrays "static const char step_${number}[] = {\n${bytes}\n0};\n")
endforeach()
list(LENGTH texts count)
list(JOIN texts ", " names)

file(WRITE "${OUT}" "/* The steps of schema/device, written by core/replica/embed.cmake; do not edit. */
#include \"replica/room.h\"

${arrays}
const char *const device_steps[] = {${names}};
const uint32_t device_steps_count = ${count};
")
