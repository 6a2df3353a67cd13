-- Secrets handed to a process that works already.
local test = ...
local handover = require "vm.handover"
local secret = require "vm.secret"
local sys = require "vm.sys"

test("what is given is taken, once, and is in no file", function(t)
  local dir = t.ok(sys.temporary_folder "tranship-test")
  local path = dir .. "/inbox"
  local one <close> = secret.new("hunter22", "p")
  local packed = secret.pack { ["from.login.password"] = one, ca = "PEM" }
  t.fails("not found", handover.give(path, packed))
  do
    local inbox <close> = t.ok(handover.open(path))
    t.equal(inbox:take(), false)
    t.ok(handover.give(path, packed))
    t.fails("conflict", handover.give(path, packed))
    local taken = secret.unpack(t.ok(inbox:take()))
    t.equal(taken["from.login.password"]:fingerprint "k", one:fingerprint "k")
    t.equal(taken.ca:fingerprint "k", sys.hmac_sha256("k", "PEM"))
    t.equal(inbox:take(), false)
    t.equal(sys.stat(path).size, 0)
  end
  t.equal(sys.list(dir), {}, "the pipe goes with its inbox")
  t.ok(sys.write_file(path, ""))
  t.fails("exists", handover.give(path, packed))
  t.equal(sys.read_file(path), "")
  sys.remove(path)
  sys.remove(dir)
end)
