# embed.cmake - schema/catalog/*.json as one C file, so that both binaries carry the catalogue.
#
#   cmake -DOUT=<file.c> -DDIR=<schema/catalog> -P core/catalog/embed.cmake
#
# Writes {"version":1,"modules":[ file, file, ... ]}, files sorted by name, as an array of bytes
# (string literals have a limit of 64 KiB) behind catalog_builtin_text.
cmake_minimum_required(VERSION 3.25)

if(NOT OUT OR NOT DIR)
  message(FATAL_ERROR "usage: cmake -DOUT=<file.c> -DDIR=<schema/catalog> -P embed.cmake")
endif()
file(GLOB files "${DIR}/*.json")
list(SORT files)
if(NOT files)
  message(FATAL_ERROR "no *.json in ${DIR}: give the folder that holds the catalogue")
endif()

# {"version":1,"modules":[
set(hex "7b2276657273696f6e223a312c226d6f64756c6573223a5b")
set(comma "")
foreach(file IN LISTS files)
  file(READ "${file}" content HEX)
  string(APPEND hex "${comma}${content}")
  set(comma "2c")
endforeach()
string(APPEND hex "5d7d") # ]}
string(LENGTH "${hex}" size)
math(EXPR size "${size} / 2")

string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
set(byte "0x[0-9a-f][0-9a-f],")
set(four "${byte}${byte}${byte}${byte}")
string(REGEX REPLACE "(${four}${four}${four}${four})" "\\1\n" bytes "${bytes}")

set(source "/* The catalogue of schema/catalog, written by core/catalog/embed.cmake; do not edit. */
#include \"catalog/catalog.h\"

static const unsigned char catalog_bytes[${size}] = {
${bytes}
};

fb_text catalog_builtin_text(void)
{
    return (fb_text){(const char *)catalog_bytes, sizeof catalog_bytes};
}
")
file(WRITE "${OUT}" "${source}")
