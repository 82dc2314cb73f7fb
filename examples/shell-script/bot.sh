#!/bin/sh
# A paper trader that offers nothing but a result file: no metrics, no journal, no alerts. It flips a coin each second and books what
# the coin says, honestly. Usage: bot.sh SECONDS RESULT_FILE
#
# SIGTERM and SIGINT end it in order.

seconds=$1
out=$2
stop=
trap 'stop=1' TERM INT

# Cents, because the shell counts in whole numbers.
trades=0 wins=0 losses=0 net=0 gross=0 won=0 lost=0 peak=0 fall=0
cost=2

coin() {
    od -An -N2 -tu2 /dev/urandom | tr -d ' '
}

# `12.34` of 1234 cents.
usd() {
    if [ "$1" -lt 0 ]; then sign=- n=$((-$1)); else sign= n=$1; fi
    printf '%s%d.%02d' "$sign" $((n / 100)) $((n % 100))
}

# "name": sum / count, or null and why.
mean() {
    if [ "$3" -gt 0 ]; then
        printf '  "%s": %s,\n' "$1" "$(usd $(($2 / $3)))"
    else
        printf '  "%s": null,\n  "%s_reason": "undefined: no such trade yet",\n' "$1" "$1"
    fi
}

write() {
    {
        printf '{\n  "total_trades": %d,\n' $((2 * trades))
        printf '  "entry_trades": %d,\n  "exit_trades": %d,\n  "round_trips_completed": %d,\n' $trades $trades $trades
        if [ $trades -gt 0 ]; then
            printf '  "win_rate_pct": %s,\n' "$(usd $((wins * 10000 / trades)))"
        else
            printf '  "win_rate_pct": null,\n  "win_rate_pct_reason": "undefined: no trade yet",\n'
        fi
        printf '  "total_pnl_usd": %s,\n  "gross_pnl_usd": %s,\n  "net_pnl_usd": %s,\n' \
            "$(usd $net)" "$(usd $gross)" "$(usd $net)"
        printf '  "max_drawdown_usd": %s,\n' "$(usd $fall)"
        mean avg_win_usd $won $wins
        mean avg_loss_usd $lost $losses
        printf '  "wins": %d,\n  "losses": %d,\n  "complete": %s\n}\n' $wins $losses "$1"
    } > "$out.new"
    mv "$out.new" "$out"
}

echo "trading for $seconds s"
end=$(($(date +%s) + seconds))
while [ -z "$stop" ] && [ "$(date +%s)" -lt "$end" ]; do
    result=$(($(coin) % 41 - 18))
    trades=$((trades + 1))
    gross=$((gross + result))
    result=$((result - cost))
    net=$((net + result))
    if [ $result -gt 0 ]; then wins=$((wins + 1)) won=$((won + result)); else losses=$((losses + 1)) lost=$((lost + result)); fi
    [ $net -gt $peak ] && peak=$net
    [ $((peak - net)) -gt $fall ] && fall=$((peak - net))
    write false
    sleep 0.5
done
write true
echo "done, net $(usd $net) USD"
