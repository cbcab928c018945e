// One translation unit: reading libtorch's headers takes most of the time of a build.
#include "tensor.cpp"
#include "device.cpp"
#include "bnsilu.cpp"
#include "ops.cpp"
#include "quantize.cpp"
#include "learn.cpp"
#include "group.cpp"
#include "sync.cpp"
