# embed.cmake - schema/server/*.sql as one C file, so that the server carries its tables.
#
#   cmake -DOUT=<file.c> -DDIR=<schema/server> -P sync-server/store/embed.cmake
#
# Writes store_schema_steps[]: one terminated text per file, sorted by name; step n of a database is
# its PRAGMA user_version.
cmake_minimum_required(VERSION 3.25)

if(NOT OUT OR NOT DIR)
  message(FATAL_ERROR "usage: cmake -DOUT=<file.c> -DDIR=<schema/server> -P embed.cmake")
endif()
file(GLOB files "${DIR}/*.sql")
list(SORT files)
if(NOT files)
  message(FATAL_ERROR "no *.sql in ${DIR}: give the folder that holds the server's tables")
endif()

set(arrays "")
set(names "")
set(count 0)
foreach(file IN LISTS files)
  math(EXPR count "${count} + 1")
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  set(byte "0x[0-9a-f][0-9a-f],")
  set(four "${byte}${byte}${byte}${byte}")
  string(REGEX REPLACE "(${four}${four}${four}${four})" "\\1\n" bytes "${bytes}")
  string(APPEND arrays "static const unsigned char step_${count}[] = {\n${bytes}0\n};\n")
  string(APPEND names "    (const char *)step_${count},\n")
endforeach()

file(WRITE "${OUT}" "/* The tables of schema/server, written by sync-server/store/embed.cmake; do not edit. */
#include \"sync-server/store/store_inside.h\"

${arrays}
const char *const store_schema_steps[] = {
${names}};
const int store_schema_steps_count = ${count};
")
