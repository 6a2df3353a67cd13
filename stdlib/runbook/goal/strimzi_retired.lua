--- "Nobody uses this cluster any more", where Strimzi runs it: as for any cluster,
-- and what is left of it in Kubernetes is named, with what to know before it goes.
-- It only looks: nothing is deleted.

local left = require "strimzi.left"
local plain = require "runbook.goal.retired"

local function check(g, run)
  local answer, why = plain.check(g, run)
  if not answer then return nil, why end
  local lines, warnings = left.lines(g.cluster.strimzi)
  if not lines then return nil, warnings end
  answer.seen.left, answer.seen.warnings = lines, warnings
  if #lines > 0 then
    answer.text = ("%s; left on %s: %s"):format(answer.text, g.cluster.strimzi.kube.name,
      table.concat(lines, ", "))
  end
  if #warnings > 0 then answer.text = answer.text .. "; " .. table.concat(warnings, "; ") end
  return answer
end

local def = {}
for name, value in pairs(plain) do def[name] = value end
def.check, def.verify = check, check
return def
