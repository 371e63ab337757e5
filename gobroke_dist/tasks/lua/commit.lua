--#include clock bell deliveries queue place settle
-- Acknowledges a message, makes the next of its key ready, and carries out what its handler sent, in order.
-- KEYS, ARGV, returns: parts/settle.lua; the payload and the delay are not used.
-- Atomic because: contract W7; what a handler sent is visible exactly when its message is gone.
local found = standing()
if found ~= "held" then
    return { found, 0 }
end
let_go()
remove()
return { found, carry_out_effects() }
