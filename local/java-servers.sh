#!/usr/bin/env bash
# Fetch the servers on the JVM that the tests of brokers and result backends start, from Maven Central.
#
#   local/java-servers.sh elasticmq|mongo|cassandra|all
#
# Each lies in .local/java/<server>/lib afterwards; what is there already is left as it is. Needs a JDK (17) and Maven.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

JAVA_DIR=$LOCAL_DIR/java
ELASTICMQ=org.elasticmq:elasticmq-server_2.13:1.7.1
MONGO=de.bwaldvogel:mongo-java-server:1.47.0
SLF4J=org.slf4j:slf4j-simple:1.7.36
CASSANDRA=org.apache.cassandra:cassandra-all:5.0.9 # what has no number is an alpha of the next

have_tools() { command -v java >/dev/null && command -v mvn >/dev/null; }
have_tools || install_packages "running the servers on the JVM" openjdk-17-jdk-headless maven

dependency() {
  local group artifact version
  IFS=: read -r group artifact version <<<"$1"
  printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>' \
    "$group" "$artifact" "$version"
}

# fetch NAME COORDINATES...
fetch() {
  local name=$1 folder=$JAVA_DIR/$1 wanted
  shift
  wanted=$*
  if [[ -f $folder/fetched && $(<"$folder/fetched") == "$wanted" ]]; then
    skip "$name"
    return
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  {
    printf '<project><modelVersion>4.0.0</modelVersion><groupId>dev.millrace</groupId>'
    printf '<artifactId>%s</artifactId><version>1</version><packaging>pom</packaging><dependencies>' "$name"
    for coordinates in "$@"; do dependency "$coordinates"; done
    printf '</dependencies></project>\n'
  } >"$folder/pom.xml"
  with_progress "$name from Maven Central" "see whether Maven reaches its repository (settings.xml)" \
    mvn -q -B -f "$folder/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$folder/lib"
  printf '%s' "$wanted" >"$folder/fetched"
}

for server in "${@:-all}"; do
  case $server in
    elasticmq) fetch elasticmq "$ELASTICMQ" ;;
    mongo) fetch mongo "$MONGO" "$SLF4J" ;;
    cassandra) fetch cassandra "$CASSANDRA" ;;
    all)
      fetch elasticmq "$ELASTICMQ"
      fetch mongo "$MONGO" "$SLF4J"
      fetch cassandra "$CASSANDRA"
      ;;
    *) fail "there is no server called $server" "name elasticmq, mongo, cassandra or all" ;;
  esac
done
