-- The rights that scripts/rights ships, on a real API server: all there, and each
-- one that is taken away named; several at once named together.
local test = ...
local sys = require "vm.sys"
local yaml = require "vm.yaml"
local kubernetes = require "kube.kubernetes"
local task = require "vm.task"
local world_of = dofile "tests/support/kube.lua"

local STRIMZI = "1.2.0"
local FILE = "scripts/rights/kubernetes-role.yaml"
local BRIDGE_FILE = "scripts/rights/kubernetes-bridge-role.yaml"

--- How words spell the kinds of the bridge's Role.
local KINDS = { ["deployments.apps"] = "Deployment", configmaps = "ConfigMap",
  secrets = "Secret", pods = "Pod", ["pods/log"] = "Pod/log" }

--- Each right of a Role: its place there, and how `rights` spells it.
local function rights_of(role)
  local list = {}
  for i, rule in ipairs(role.rules) do
    local group = rule.apiGroups[1]
    for j, resource in ipairs(rule.resources) do
      local plural, sub = resource:match "^([^/]+)(.*)$"
      for k, verb in ipairs(rule.verbs) do
        list[#list + 1] = { rule = i, resource = j, verb = k,
          text = ("%s %s%s%s"):format(verb, plural,
            group ~= "" and "." .. group or "", sub) }
      end
    end
  end
  return list
end

--- The Role without one verb of one resource.
local function without(role, right)
  local rules = {}
  for i, rule in ipairs(role.rules) do
    for j, resource in ipairs(rule.resources) do
      local verbs = {}
      for k, verb in ipairs(rule.verbs) do
        local gone = i == right.rule and j == right.resource and k == right.verb
        if not gone then verbs[#verbs + 1] = verb end
      end
      if #verbs > 0 then
        rules[#rules + 1] = { apiGroups = rule.apiGroups, resources = { resource },
          verbs = verbs }
      end
    end
  end
  return rules
end

--- Asks until what is missing is this: the authorizer learns of it a moment later.
local function must_lack(t, kube, asked, wanted)
  local answer
  for _ = 1, 100 do
    answer = t.ok(kube:rights(asked))
    if table.concat(answer.seen.missing, "; ") == wanted then break end
    task.sleep(50)
  end
  t.equal(table.concat(answer.seen.missing, "; "), wanted)
  t.equal(answer.ok, wanted == "")
  return answer.text
end

--- Kinds that the server does not start with.
local function serve(t, world, kinds)
  local folder = t.ok(sys.run { "tests/world/kube/crds", "where", STRIMZI }).stdout:match "[^\n]+"
  for _, kind in ipairs(kinds) do
    world:kubectl("apply", "--server-side", "-f", ("%s/%s.yaml"):format(folder, kind))
  end
  world:kubectl("wait", "--for=condition=Established", "crd", "-l", "app=strimzi",
    "--timeout=120s")
end

--- "run a bridge" is what its Role has, no right more and none less.
local function bridge_rights(t, world, admin, kube)
  world:kubectl("delete", "rolebinding", "tranship")
  local role = t.ok(yaml.decode(t.ok(sys.read_file(BRIDGE_FILE))))
  local word, spelled = { "run a bridge" }, {}
  for i, right in ipairs(rights_of(role)) do
    local verb, object = right.text:match "^(%l+) (.*)$"
    spelled[i] = { right = right, text = verb .. " " .. (KINDS[object] or object) }
  end
  local function all()
    local texts = {}
    for i, one in ipairs(spelled) do texts[i] = one.text end
    return table.concat(texts, "; ")
  end
  must_lack(t, kube, word, all())
  world:kubectl("create", "-f", BRIDGE_FILE)
  world:kubectl("create", "rolebinding", "bridge", "--role=tranship-bridge",
    "--user=tranship")
  must_lack(t, kube, word, "")
  for _, one in ipairs(spelled) do
    t.ok(admin:patch("Role", "tranship-bridge", { rules = without(role, one.right) }))
    must_lack(t, kube, word, one.text)
  end
  t.note(("run a bridge: %d rights, each named when it was gone"):format(#spelled))
end

test("all shipped rights are there; each that is taken away is named", function(t)
  local world <close> = world_of.start { strimzi = STRIMZI, parts = { "etcd", "apiserver" } }
  local role = t.ok(yaml.decode(t.ok(sys.read_file(FILE))))
  local admin <close> = kubernetes.new { name = "here", kubeconfig = world.kubeconfig }
  local kube <close> = kubernetes.new { name = "here", kubeconfig = world:config_of "token" }
  serve(t, world, { "KafkaConnect", "KafkaBridge", "KafkaRebalance" })
  local rights, asked = rights_of(role), {}
  for i, right in ipairs(rights) do asked[i] = right.text end
  t.fails("not found", kube:rights { "get everything" })
  must_lack(t, kube, asked, table.concat(asked, "; "))
  world:kubectl("create", "-f", FILE)
  world:kubectl("create", "rolebinding", "tranship", "--role=tranship",
    "--user=tranship")
  must_lack(t, kube, asked, "")
  must_lack(t, kube, { "move workloads" }, "")
  for _, right in ipairs(rights) do
    t.ok(admin:patch("Role", "tranship", { rules = without(role, right) }))
    local text = must_lack(t, kube, asked, right.text)
    t.match(text, "token may not .* %(in namespace default%)")
  end
  t.note(("%d rights, each named when it was gone"):format(#rights))
  local ok, why = pcall(kube.rights, kube, { "everything" })
  t.equal(ok, false)
  t.match(tostring(why), 'or "move workloads", "run a bridge"; not "everything"')
  bridge_rights(t, world, admin, kube)
end)
