# tranship's image, for bridges that run in Kubernetes (`bridge { on = ... }`):
#   docker build -t tranship:0.1.0 .
# Everything is built from this tree by the project's own installer; what is left
# at the end are the program and the libraries it is linked with.
FROM debian:12-slim AS build
WORKDIR /src
COPY tests/world/install tests/world/install
COPY tests/world/rdkafka tests/world/rdkafka
RUN tests/world/install build
COPY . .
RUN cmake --preset release \
 && cmake --build build --target tranship \
 && strip build/tranship \
 && cmake --install build --prefix /usr/local

FROM debian:12-slim
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libcurl4 \
      libedit2 libjansson4 liblua5.4-0 liblz4-1 libsnappy1v5 libssl3 libuv1 \
      libxxhash0 libyaml-0-2 libzstd1 zlib1g \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/tranship /usr/local/bin/tranship
RUN tranship --version
# No name, no home, no rights: state and configuration are mounted.
USER 10001:10001
WORKDIR /var/lib/tranship
ENTRYPOINT ["tranship"]
CMD ["--help"]
