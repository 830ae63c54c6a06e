// Nothing: CMake wants a file to compile the tests' precompiled header with.
