package moderate

// lookalikes are the Cyrillic and Greek letters, in lower case, that look like a Latin one (from Unicode Technical
// Standard 39, confusables.txt).
var lookalikes = map[rune]rune{
	'а': 'a', 'в': 'b', 'с': 'c', 'ԁ': 'd', 'е': 'e', 'һ': 'h', 'і': 'i', 'ј': 'j', 'к': 'k', 'ӏ': 'l', 'м': 'm', 'п': 'n',
	'о': 'o', 'р': 'p', 'ԛ': 'q', 'г': 'r', 'ѕ': 's', 'т': 't', 'ц': 'u', 'ѵ': 'v', 'ԝ': 'w', 'х': 'x', 'у': 'y', 'н': 'h',
	'α': 'a', 'β': 'b', 'ϲ': 'c', 'ε': 'e', 'η': 'n', 'ι': 'i', 'κ': 'k', 'ν': 'v', 'ο': 'o', 'ρ': 'p', 'τ': 't', 'υ': 'u', 'χ': 'x', 'γ': 'y', 'ω': 'w',
}

// smallCapitals are those of phonetic alphabets.
var smallCapitals = pairs("ᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpʀrꜱsᴛtᴜuᴠvᴡwʏyᴢz")

// simplified is the simplified form of traditional characters, of those that texts about money are written with.
var simplified = inHan(pairs(
	"預预測测來来漲涨買买賣卖資资證证賺赚錢钱財财產产務务場场價价後后個个會会對对應应該该類类時时間间現现實实報报總总結结經经濟济營营業业運运費费貸贷貨货貴贵賭赌貼贴質质購购贈赠賠赔賬账帳账賦赋賞赏賢贤賤贱" +
		"賀贺貪贪貧贫貫贯負负貢贡責责貿贸貯贮貶贬賓宾賴赖贏赢銀银錯错錄录鑑鉴鏈链銷销鋪铺針针鈔钞鎖锁鎊镑額额領领願愿題题風风險险飛飞養养餘余館馆馬马驗验體体髮发發发關关開开門门問问聞闻閉闭閱阅陽阳陰阴隊队階阶" +
		"際际隨随難难雖虽雙双離离電电靜静韓韩響响頁页項项順顺須须頭头頻频顧顾顯显農农遠远遲迟還还邊边過过這这進进連连達达違违遷迁選选適适週周遊游轉转輕轻輸输輯辑載载較较車车軟软軍军認认計计訊讯討讨訓训記记訂订" +
		"設设許许評评詐诈訴诉診诊詢询試试話话誠诚誤误說说誰谁課课談谈請请諮咨諾诺講讲謝谢識识議议護护譯译變变讓让規规視视親亲覺觉觀观見见補补裝装製制複复術术衛卫號号處处與与舉举舊旧藥药蘇苏華华萬万葉叶莊庄節节" +
		"範范聯联職职聽听聲声腦脑臉脸脫脱肅肃習习義义羅罗罰罚網网維维綜综綠绿緊紧線线練练給给統统絕绝絡络終终組组細细納纳級级紅红約约紀纪糧粮築筑簡简籌筹籤签簽签窮穷種种稱称穩稳積积稅税禮礼禪禅碼码礎础確确縣县" +
		"縮缩績绩繼继續续繳缴織织聰聪盡尽監监盤盘盜盗眾众療疗畫画當当異异環环瑪玛獎奖獨独獲获獻献猶犹狀状牆墙爾尔爭争為为無无熱热燈灯爐炉災灾潤润減减滿满漢汉準准溝沟漸渐灣湾沒没決决氣气歸归歲岁歷历殺杀毀毁權权" +
		"樓楼標标樣样樂乐機机檢检檔档欄栏條条東东極极構构槓杠楊杨榮荣殼壳數数敗败敵敌斷断據据擔担擁拥擊击擇择擬拟擴扩擾扰攜携損损換换揮挥掛挂採采掃扫拋抛戰战戲戏戶户慮虑慶庆憂忧憑凭懷怀態态愛爱惡恶從从徑径徵征" +
		"復复張张強强彈弹彙汇彎弯幣币幫帮幾几庫库廠厂廣广廢废島岛嶺岭層层屬属導导專专尋寻寶宝審审寫写寬宽將将學学孫孙婦妇媽妈孃娘奪夺奮奋夠够夢梦壓压壞坏墊垫墳坟塊块執执堅坚圖图圓圆園园國国圍围團团嚴严嚇吓喪丧" +
		"單单啟启員员唄呗吳吴嗎吗嘆叹嘗尝囑嘱協协區区匯汇劃划劇剧劉刘劍剑創创則则剛刚別别勝胜勞劳勢势動动勵励勸劝優优儘尽償偿儲储儀仪億亿僅仅傳传債债傷伤傾倾備备偉伟側侧們们倉仓併并係系俠侠侶侣佔占兩两兒儿兌兑" +
		"內内冊册凱凯凍冻淨净湊凑亂乱乾干亞亚並并丟丢臺台檯台搶抢撈捞蹤踪躍跃幹干虧亏託托詭诡誘诱謀谋貓猫贊赞醫医釋释鐘钟鑽钻闆板閒闲飆飙驚惊騙骗騰腾齊齐龍龙麼么點点洩泄紙纸潛潜靈灵嚐尝舖铺裏里裡里罷罢證证"))

// inHan makes a table by place in the main block of Han of what is in a map: each character of a text is looked up.
func inHan(m map[rune]rune) (table [lastHan - firstHan + 1]uint16) {
	for from, to := range m {
		table[from-firstHan] = uint16(to)
	}
	return table
}

func pairs(both string) map[rune]rune {
	runes := []rune(both)
	m := make(map[rune]rune, len(runes)/2)
	for i := 0; i+1 < len(runes); i += 2 {
		m[runes[i]] = runes[i+1]
	}
	return m
}
