# Thin: CMake builds, scripts under tests/ do the rest.

PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

all: build/build.ninja
	cmake --build build -j $(JOBS)

build/build.ninja: CMakeLists.txt CMakePresets.json
	cmake --preset release

# What the build needs, and what the demo needs, on a fresh machine.
deps:
	tests/world/install

demo: deps
	$(MAKE) all
	tests/world/demo

# The same on two Kubernetes API servers, which are built first, once.
demo-kube: deps
	tests/world/install kube
	$(MAKE) all
	tests/world/demo-kube

test:
	tests/run

bench: all
	tests/bench/run

crash-matrix: all
	tests/world/crash-matrix

# Engines, killed ten thousand times: half an hour or so.
soak: all
	MIRROR_KILLS=$${MIRROR_KILLS:-10000} build/tranship --test tests/kafka/mirror_kill.lua

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

install: all
	cmake --install build --prefix $(PREFIX)

clean:
	rm -rf build build-debug build-asan build-tsan build-clang

.PHONY: all deps demo demo-kube test bench crash-matrix soak format install clean
